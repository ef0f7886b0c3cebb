#![no_main]

use fuzz::carrier::{check, nats::Nats};

libfuzzer_sys::fuzz_target!(|input: &[u8]| check::<Nats>(input));
