//! The committed inputs.

use std::fs;
use std::path::Path;

use crate::hostile::Hostile;
use crate::input::{MOST, many};

#[test]
fn every_kind_of_hostile_headers_is_an_input_of_every_carrier_in_full_number() {
    for carrier in ["kafka", "amqp", "nats"] {
        for kind in Hostile::ALL {
            let path = format!("{carrier}/hostile-{kind:?}");
            let input = fs::read(folder().join(&path));
            let input = input.unwrap_or_else(|error| panic!("fuzz/corpus/{path}: {error}"));
            let (of, count, _) = many(&input).unwrap_or_else(|| panic!("{path} asks for nothing"));
            assert_eq!((of, count), (kind, MOST), "{path}");
        }
    }
}

#[test]
fn inputs_are_small_and_each_target_has_some() {
    for target in fs::read_dir(folder().join("../fuzz_targets")).expect("a folder") {
        let target = target.expect("an entry").path();
        let name = target.file_stem().expect("a name").display().to_string();
        let mut inputs = 0;
        for input in fs::read_dir(folder().join(&name)).expect("a folder for each target") {
            let input = input.expect("an entry");
            let bytes = input.metadata().expect("its size").len();
            assert!(bytes <= 16_384, "{}: {bytes} bytes", input.path().display());
            inputs += 1;
        }
        assert!(inputs >= 5, "{name}: {inputs} inputs");
    }
}

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus"))
}
