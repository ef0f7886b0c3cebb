//! What is counted: allocations of Rust code, for each thread (what C allocates is not seen), and
//! instructions, by valgrind.
#![expect(
    unsafe_code,
    reason = "an allocator is made of unsafe functions, and a name is to be found from outside"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// Allocations and reallocations of this thread so far.
pub fn allocations() -> u64 {
    COUNT.get()
}

/// What `operation` returns, and how often it allocated.
pub fn counted<T>(operation: impl FnOnce() -> T) -> (T, u64) {
    let before = allocations();
    let result = operation();
    (result, allocations() - before)
}

/// Does what valgrind is to count the instructions of.
// SAFETY: nothing else has this name.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn measured(operation: &mut dyn FnMut()) {
    operation();
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count() {
    COUNT.set(COUNT.get() + 1);
}

// SAFETY: every call goes to the system's allocator as it came; the count needs no allocation.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps what `alloc` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps what `alloc_zeroed` asks for.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller keeps what `realloc` asks for.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps what `dealloc` asks for.
        unsafe { System.dealloc(pointer, layout) }
    }
}
