//! Processor time, which others on the machine move less than they move time.
#![expect(
    unsafe_code,
    reason = "the standard library does not ask for processor time"
)]

/// Seconds that all threads of this process have computed.
pub fn processor_seconds() -> f64 {
    seconds(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// Seconds that this thread has computed.
pub fn thread_seconds() -> f64 {
    seconds(libc::CLOCK_THREAD_CPUTIME_ID)
}

fn seconds(clock: libc::clockid_t) -> f64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a live local.
    let status = unsafe { libc::clock_gettime(clock, &raw mut time) };
    assert_eq!(status, 0, "a clock of processor time");
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
