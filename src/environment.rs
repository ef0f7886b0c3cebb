//! Context in the environment of a process: `TRACEPARENT`, `TRACESTATE` and `BAGGAGE`.
//!
//! A handler that starts a program gives it the context, and the program, if it is instrumented, goes on
//! with the trace. Which headers there are is for the propagator to say; a variable has the name of its header in
//! upper case, with `_` for whatever is no letter or digit.
//!
//! Other programs on the machine may be able to see the environment of a process: baggage is in it in clear text.
//!
//! Spec: [Environment Variables as Context Propagation Carriers].
//!
//! [Environment Variables as Context Propagation Carriers]: https://github.com/open-telemetry/opentelemetry-specification/blob/v1.60.0/specification/context/env-carriers.md

use std::collections::HashMap;
use std::env;
use std::ffi::OsString;
use std::process::Command;

use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator};

use crate::engine::carriers::{extract_from, inject_alone};
use crate::engine::propagation::{Headers, HeadersMut};

/// Writes `context` into the environment of a program that is to be started, with any propagator.
///
/// What this process has in these variables itself is not handed on: a variable that is not written is
/// removed from the program's environment, all of them if there is no context to write. A value with a NUL,
/// which no variable can have, is left out.
///
/// ```
/// use std::process::Command;
///
/// use opentelemetry::Context;
/// use otel_messaging::{environment, w3c};
///
/// # fn render(order: &str) -> std::io::Result<()> {
/// let mut command = Command::new("render-invoice");
/// environment::inject(&w3c::Propagator::new(), &Context::current(), &mut command);
/// command.arg(order).status()?;
/// # Ok(())
/// # }
/// ```
///
/// A command of tokio lends the one inside by `as_std_mut`.
pub fn inject(propagator: &dyn TextMapPropagator, context: &Context, command: &mut Command) {
    inject_alone(propagator, context, &mut Variables(command));
}

/// Reads the context that this process was started with, with any propagator, onto an empty context.
///
/// Without one, the context is empty. It is for the beginning of a program: the parent of all that it does.
///
/// ```
/// use opentelemetry::trace::{Tracer as _, TracerProvider as _};
/// use opentelemetry_sdk::trace::SdkTracerProvider;
/// use otel_messaging::{environment, w3c};
///
/// let started_in = environment::extract(&w3c::Propagator::new());
///
/// let tracer = SdkTracerProvider::default().tracer("render-invoice");
/// let span = tracer.start_with_context("render", &started_in);
/// ```
#[must_use]
pub fn extract(propagator: &dyn TextMapPropagator) -> Context {
    extract_from(propagator, &OwnVariables::of(env::vars_os()))
}

/// Those of a program that is to be started.
struct Variables<'a>(&'a mut Command);

impl Headers for Variables<'_> {
    fn for_each<'a>(&'a self, visit: &mut dyn FnMut(&'a [u8], &'a [u8])) {
        for (name, value) in self.0.get_envs() {
            if let Some(value) = value {
                visit(name.as_encoded_bytes(), value.as_encoded_bytes());
            }
        }
    }
}

impl HeadersMut for Variables<'_> {
    fn is_empty(&self) -> bool {
        self.0.get_envs().next().is_none()
    }

    fn remove(&mut self, names: &[&str]) -> bool {
        // Those that are inherited are nowhere to be seen.
        for name in names {
            self.0.env_remove(name_of(name));
        }
        !names.is_empty()
    }

    fn append(&mut self, name: &str, value: &[u8]) {
        // The program could not be started.
        if let Ok(value) = str::from_utf8(value)
            && !value.contains('\0')
        {
            self.0.env(name_of(name), value);
        }
    }

    fn cost(name: &str, value: &[u8]) -> usize {
        name.len() + value.len() + "=\0".len()
    }
}

/// Those of this process, by names that headers can have here.
struct OwnVariables(HashMap<String, String>);

impl OwnVariables {
    fn of(all: impl Iterator<Item = (OsString, OsString)>) -> Self {
        let texts = all.filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            Some((name, value.into_string().ok()?))
        });
        Self(texts.filter(|(name, _)| *name == name_of(name)).collect())
    }
}

impl Extractor for OwnVariables {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(&name_of(key)).map(String::as_str)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }
}

/// Spec: [env-carriers § Key Name Normalization].
///
/// [env-carriers § Key Name Normalization]: https://github.com/open-telemetry/opentelemetry-specification/blob/v1.60.0/specification/context/env-carriers.md#key-name-normalization
fn name_of(header: &str) -> String {
    let letters = header.chars().map(|one| match one {
        'a'..='z' | 'A'..='Z' | '0'..='9' => one.to_ascii_uppercase(),
        _ => '_',
    });
    let begins_well = header.starts_with(|first: char| !first.is_ascii_digit());
    let before = (!begins_well).then_some('_');
    before.into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use opentelemetry::KeyValue;
    use opentelemetry::baggage::BaggageExt as _;
    use opentelemetry::propagation::Injector;
    use opentelemetry::propagation::text_map_propagator::FieldIter;
    use opentelemetry::trace::{
        SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
    };

    use super::*;
    use crate::w3c;

    const TRACEPARENT: &str = "00-0000000000000000000000000000002a-0000000000000007-01";

    fn context() -> Context {
        let (trace_id, span_id) = (TraceId::from(42), SpanId::from(7));
        let flags = TraceFlags::SAMPLED;
        let span = SpanContext::new(trace_id, span_id, flags, true, TraceState::NONE);
        Context::new().with_remote_span_context(span)
    }

    /// What is set and what is taken out, sorted by name.
    fn changes(command: &Command) -> Vec<(&OsStr, Option<&OsStr>)> {
        command.get_envs().collect()
    }

    fn set<'a>(name: &'a str, value: &'a str) -> (&'a OsStr, Option<&'a OsStr>) {
        (name.as_ref(), Some(value.as_ref()))
    }

    fn removed(name: &str) -> (&OsStr, Option<&OsStr>) {
        (name.as_ref(), None)
    }

    #[test]
    fn a_program_is_given_the_context_and_nothing_of_another_one() {
        let mut command = Command::new("true");
        command.env("TRACESTATE", "stale=1").env("OTHER", "stays");
        let propagator = w3c::Propagator::new();

        inject(&propagator, &context(), &mut command);
        let expected = [
            removed("BAGGAGE"),
            set("OTHER", "stays"),
            set("TRACEPARENT", TRACEPARENT),
            removed("TRACESTATE"),
        ];
        assert_eq!(changes(&command), expected);

        let baggage = context().with_baggage([KeyValue::new("shop", "north")]);
        inject(&propagator, &baggage, &mut command);
        let expected = [
            set("BAGGAGE", "shop=north"),
            set("OTHER", "stays"),
            set("TRACEPARENT", TRACEPARENT),
            removed("TRACESTATE"),
        ];
        assert_eq!(changes(&command), expected);

        inject(&propagator, &Context::new(), &mut command);
        let expected = [
            removed("BAGGAGE"),
            set("OTHER", "stays"),
            removed("TRACEPARENT"),
            removed("TRACESTATE"),
        ];
        assert_eq!(changes(&command), expected);
    }

    #[test]
    fn a_variable_has_the_name_of_its_header_as_a_shell_can_have_it() {
        let rows = [
            ("traceparent", "TRACEPARENT"),
            ("X-B3-TraceId", "X_B3_TRACEID"),
            ("uber.trace=id", "UBER_TRACE_ID"),
            ("7\u{e4}", "_7_"),
            ("", "_"),
        ];
        for (header, expected) in rows {
            assert_eq!(name_of(header), expected);
        }
        let name = name_of("X-B3-TraceId");
        let own = OwnVariables(HashMap::from([(name, "7".to_owned())]));
        assert_eq!(own.get("x-b3-traceid"), Some("7"));
        assert_eq!(own.keys(), ["X_B3_TRACEID"]);
    }

    #[test]
    fn a_program_reads_what_it_was_started_with() {
        let variables = |all: &[(&str, &str)]| {
            let all = all
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()));
            let propagator = w3c::Propagator::new();
            let context = extract_from(&propagator, &OwnVariables::of(all));
            crate::text::inject(&propagator, &context)
        };
        let own = [
            ("TRACEPARENT", TRACEPARENT),
            ("TRACESTATE", "a=1"),
            ("BAGGAGE", "shop=north"),
            ("PATH", "/bin"),
        ];
        let expected = format!("traceparent={TRACEPARENT}\ntracestate=a=1\nbaggage=shop=north\n");
        assert_eq!(variables(&own), expected);
        // By its rule, a variable of another name is another one.
        assert_eq!(variables(&[("traceparent", TRACEPARENT)]), "");
        assert_eq!(variables(&[("TRACEPARENT", "00-7-7-01")]), "");
    }

    #[cfg(unix)]
    #[test]
    fn a_program_that_is_started_has_the_variables() {
        let mut command = Command::new("env");
        command.env_clear().env("TRACESTATE", "stale=1");
        command.env("PATH", env::var_os("PATH").unwrap_or_default());
        inject(&w3c::Propagator::new(), &context(), &mut command);

        let said = command.output().map(|output| output.stdout);
        let said = String::from_utf8(said.unwrap_or_default()).unwrap_or_default();
        let said: Vec<_> = said.lines().filter(|line| line.contains("TRACE")).collect();
        assert_eq!(said, [format!("TRACEPARENT={TRACEPARENT}")]);
    }

    #[derive(Debug)]
    struct WithNul;

    impl TextMapPropagator for WithNul {
        fn inject_context(&self, _: &Context, injector: &mut dyn Injector) {
            injector.set("a=b\0", "fine".to_owned());
            injector.set("nul", "\0".to_owned());
        }

        fn extract_with_context(&self, context: &Context, _: &dyn Extractor) -> Context {
            context.clone()
        }

        fn fields(&self) -> FieldIter<'_> {
            FieldIter::new(&[])
        }
    }

    #[test]
    fn what_no_variable_can_be_does_not_keep_a_program_from_starting() {
        let mut command = Command::new("true");
        inject(&WithNul, &Context::new(), &mut command);
        let expected = [
            set("A_B_", "fine"),
            removed("BAGGAGE"),
            removed("NUL"),
            removed("TRACEPARENT"),
            removed("TRACESTATE"),
        ];
        assert_eq!(changes(&command), expected);
    }
}
