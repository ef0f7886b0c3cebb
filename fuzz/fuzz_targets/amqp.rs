#![no_main]

use fuzz::carrier::{amqp::Amqp, check};

libfuzzer_sys::fuzz_target!(|input: &[u8]| check::<Amqp>(input));
