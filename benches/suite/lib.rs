//! What the benchmarks and the allocation test share: a count of allocations, a way to measure,
//! and other ways to do what the crate does.
//!
//! The direct way between headers and context, which every message takes, is not public. What measures
//! it alone, or another part of the engine, asks the hidden modules `internal` of the crate; all else
//! goes through the public API.
#![allow(
    missing_debug_implementations,
    missing_docs,
    clippy::exhaustive_enums,
    clippy::exhaustive_structs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "no library but a part of the benchmarks"
)]

pub mod by_hand;
pub mod clock;
pub mod counting;
pub mod growth;
pub mod harness;
pub mod header_map;
pub mod hostile;
pub mod linear;
pub mod messages;
pub mod rows;
pub mod sample;
pub mod stock;
pub mod table;
pub mod valgrind;
