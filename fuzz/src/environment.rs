//! Context in the environment of a process.
#![expect(
    unsafe_code,
    reason = "there is no other way to give this process variables"
)]

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::process::Command;

use otel_messaging::environment::{extract, inject};
use otel_messaging::w3c::Propagator;

use crate::carrier::SAMPLES;
use crate::input;
use crate::reference::{BAGGAGE, Carried, Parent, TRACEPARENT, TRACESTATE};

/// Variables; of those of one name the last.
type Variables = BTreeMap<OsString, OsString>;

/// Variables that a process is started with, and that it has set for another one.
pub fn check(input: &[u8]) {
    let headers = input::headers(input).into_iter();
    let possible = headers.filter(|header| {
        let is_name = !header.name.is_empty() && !header.name.contains(&b'=');
        is_name && !header.name.contains(&0) && !header.value.contains(&0)
    });
    let variables: Variables = possible
        .map(|one| (OsString::from_vec(one.name), OsString::from_vec(one.value)))
        // Those that the fuzzer itself has are to stay.
        .filter(|(name, _)| env::var_os(name).is_none())
        .collect();

    let carried = read(&variables);
    for (name, value) in &variables {
        // SAFETY: no other thread reads or writes the environment.
        unsafe { env::set_var(name, value) }
    }
    let context = extract(&Propagator::new());
    for name in variables.keys() {
        // SAFETY: as above.
        unsafe { env::remove_var(name) }
    }
    carried.assert_is(&context);

    let own = (context, carried);
    for (context, carried) in input::in_turns(input, SAMPLES.iter().chain([&own])) {
        let mut command = Command::new("true");
        command.envs(&variables);
        inject(&Propagator::new(), context, &mut command);
        let mut expected: BTreeMap<&OsStr, Option<OsString>> = variables
            .iter()
            .map(|(name, value)| (name.as_os_str(), Some(value.clone())))
            .collect();
        let written: BTreeMap<_, _> = carried.written().into_iter().collect();
        for (variable, field) in FIELDS {
            let value = written.get(field).map(OsString::from);
            expected.insert(variable.as_ref(), value);
        }
        let set: BTreeMap<_, _> = command
            .get_envs()
            .map(|(name, value)| (name, value.map(OsStr::to_owned)))
            .collect();
        assert_eq!(set, expected);
    }
}

const FIELDS: [(&str, &str); 3] = [
    ("TRACEPARENT", TRACEPARENT),
    ("TRACESTATE", TRACESTATE),
    ("BAGGAGE", BAGGAGE),
];

/// What is no text counts as absent.
fn read(variables: &Variables) -> Carried {
    let text = |name: &str| {
        let value = variables.get(OsStr::new(name))?;
        str::from_utf8(value.as_bytes()).ok()
    };
    let list = |name| text(name).into_iter().collect::<Vec<_>>();
    let parent = text("TRACEPARENT").and_then(Parent::read);
    Carried::read(parent, &list("TRACESTATE"), &list("BAGGAGE"))
}
