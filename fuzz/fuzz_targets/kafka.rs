#![no_main]

use fuzz::carrier::{check, kafka::Kafka};

libfuzzer_sys::fuzz_target!(|input: &[u8]| check::<Kafka>(input));
