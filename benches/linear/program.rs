//! Runs operations on hostile headers, each of them once inside of [`measured`], to be counted from
//! outside. Says of each what it was and how many bytes the headers had.
//!
//! The first argument is the number of headers; others choose operations by a part of their name.

use std::env;
use std::hint::black_box;

use benches::counting::measured;
use benches::linear::{Run, run};

fn main() {
    let mut arguments = env::args().skip(1);
    let headers = arguments.next().and_then(|count| count.parse().ok());
    let chosen: Vec<_> = arguments.collect();
    run(&Run {
        headers: headers.unwrap_or(1),
        is_chosen: &|name| chosen.is_empty() || chosen.iter().any(|part| name.contains(part)),
        measured: |operation| {
            // The allocator tidies up after the building of headers when it is asked for much.
            drop(black_box(Vec::<u8>::with_capacity(64 * 1024)));
            measured(operation);
        },
        told: &|name, bytes| println!("{bytes} {name}"),
    });
}
