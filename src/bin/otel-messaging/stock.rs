//! What other readers make of headers. The propagators of OpenTelemetry's Rust are run; of other languages' official
//! instrumentations is told what was measured on real brokers, and not for each message.

use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use otel_messaging::internal::{Diagnosis, Fault};

/// A header; a null value is `None`.
pub(crate) type Header = (Vec<u8>, Option<Vec<u8>>);

/// What a reader makes of it.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    pub(crate) reader: &'static str,
    pub(crate) says: String,
}

/// The carrier that most programs have: the first value of the exact name.
struct First<'a>(&'a [Header]);

impl Extractor for First<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(name, _)| name == key.as_bytes())?;
        str::from_utf8(value.as_deref()?).ok()
    }

    fn keys(&self) -> Vec<&str> {
        let names = self.0.iter().map(|(name, _)| str::from_utf8(name));
        names.filter_map(Result::ok).collect()
    }
}

pub(crate) fn verdicts(headers: &[Header], diagnosis: &Diagnosis) -> Vec<Verdict> {
    let mut verdicts = vec![rust(headers, diagnosis)];
    let mut known = |is_so: bool, reader, says: &str| {
        if is_so {
            let says = says.to_owned();
            verdicts.push(Verdict { reader, says });
        }
    };
    let is_double = diagnosis.has(Fault::Conflicting) || diagnosis.has(Fault::Duplicated);
    known(is_double, "Java on Kafka", "reads the last of several");
    known(
        is_double,
        "Python and Go on Kafka",
        "read the first of several",
    );
    known(
        is_double,
        "kafkajs",
        "joins several by a comma, cannot read that, and begins a new trace",
    );
    let is_spelt = diagnosis.has(Fault::OtherCase);
    known(is_spelt, "kafkajs", "ignores the case of names");
    known(
        is_spelt,
        "others on Kafka",
        "do not see a name in another case",
    );
    known(
        is_spelt,
        "on RabbitMQ and NATS",
        "nobody sees a name in another case, but Go on NATS, which sees Traceparent, Tracestate and Baggage alone",
    );
    let is_not_text = diagnosis.findings.iter();
    let is_not_text = is_not_text
        .clone()
        .any(|finding| finding.fault == Fault::NotUtf8 && finding.header == "baggage");
    known(is_not_text, "Python on Kafka", "raises out of poll");
    verdicts
}

fn rust(headers: &[Header], diagnosis: &Diagnosis) -> Verdict {
    let carrier = First(headers);
    let read = TraceContextPropagator::new().extract(&carrier);
    let baggage = BaggagePropagator::new().extract(&carrier).baggage().len();
    let span = read.span().span_context().clone();
    let trace = match (span.is_valid(), &diagnosis.creation) {
        (false, None) => "no context, as here".to_owned(),
        (false, Some(_)) => "no context, where there is one".to_owned(),
        (true, None) => format!("trace {}, where strictly there is none", span.trace_id()),
        (true, Some(creation)) if creation.trace_id() != span.trace_id() => {
            format!("another trace, {}", span.trace_id())
        }
        (true, Some(creation)) if creation.span_id() != span.span_id() => {
            format!("another span of the trace, {}", span.span_id())
        }
        (true, Some(_)) => "the same context".to_owned(),
    };
    let baggage = match baggage == diagnosis.baggage.len() {
        true => String::new(),
        false => format!(
            ", and {baggage} of {} members of baggage",
            diagnosis.baggage.len()
        ),
    };
    Verdict {
        reader: "Rust, stock propagators",
        says: format!("{trace}{baggage}"),
    }
}
