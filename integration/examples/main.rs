//! What somebody meets who runs the examples: brokers that are not there, Ctrl-C, and what the examples say of what
//! they draw; and the loops that they share, to be copied, with brokers that are not as they should be.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

mod absent;
mod concurrent;
mod drawn;
mod guide;
mod http;
mod interrupted;
mod log_lines;
mod loops;
mod programs;
mod sampled;
mod unheard;
