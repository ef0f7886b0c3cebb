//! The example `shop`: four programs over three brokers, what they export, and their end.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

mod ends;
mod exported;
mod load;
mod told;
