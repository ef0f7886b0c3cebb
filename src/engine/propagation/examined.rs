//! What the headers of a message say, and all that is remarkable about them, for who looks at messages and does not
//! handle them.
//!
//! What counts is decided by the same reading as for a handled message. What stands here says why.

use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::SpanContext;

use super::received::{ContextHeaders, Field};
use super::{Headers, Problem, read_alone};
use crate::telemetry::Telemetry;
use crate::telemetry::context::active_span;
use crate::w3c::traceparent::TraceParent;
use crate::w3c::{BAGGAGE, MAX_BAGGAGE_BYTES, MAX_BAGGAGE_MEMBERS, MAX_TRACESTATE_MEMBERS};
use crate::w3c::{TRACEPARENT, TRACESTATE};

/// What the headers of a message say, as a wrapped consumer reads them.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Diagnosis {
    /// The creation context, where the message has one.
    pub creation: Option<SpanContext>,
    /// Another, different creation context that it also carries.
    pub conflicting: Option<SpanContext>,
    /// The members of baggage that are read, by their names.
    pub baggage: Vec<(String, String)>,
    /// Bytes of the headers `baggage`.
    pub baggage_bytes: usize,
    /// Bytes of all headers, names and values.
    pub header_bytes: usize,
    /// What is remarkable, each once, the worst first.
    pub findings: Vec<Finding>,
}

/// Something remarkable about the headers of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Finding {
    /// What it is.
    pub fault: Fault,
    /// The header that it is about.
    pub header: &'static str,
}

/// What can be remarkable about the headers of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// There is no context.
    Missing,
    /// The header cannot be read, or not all of it.
    Malformed,
    /// There are different contexts.
    Conflicting,
    /// There is no value in the header.
    Empty,
    /// The value ends too early.
    Truncated,
    /// It would be valid in lower case.
    UpperCaseDigits,
    /// The value is no text.
    NotUtf8,
    /// The value has a type that is not that of a text.
    NotText,
    /// There is more than is read.
    OverLimit,
    /// The list is of a trace that does not count.
    OfAnotherTrace,
    /// The context is in the headers of this other format.
    Foreign(&'static str),
    /// The value is a byte array, which is read here.
    ByteArray,
    /// The name is spelt in another case.
    OtherCase,
    /// A server has renamed the header.
    Renamed,
    /// The header is there more than once, with the same context.
    Duplicated,
    /// Flags are set that have no meaning.
    ReservedFlags,
    /// The value is of a later version.
    LaterVersion,
}

impl Fault {
    /// Its name, in output for programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Conflicting => "conflicting",
            Self::Empty => "empty",
            Self::Truncated => "truncated",
            Self::UpperCaseDigits => "upper_case_digits",
            Self::NotUtf8 => "not_utf8",
            Self::NotText => "not_text",
            Self::OverLimit => "over_limit",
            Self::OfAnotherTrace => "of_another_trace",
            Self::Foreign(_) => "foreign_format",
            Self::ByteArray => "byte_array",
            Self::OtherCase => "other_case",
            Self::Renamed => "renamed",
            Self::Duplicated => "duplicated",
            Self::ReservedFlags => "reserved_flags",
            Self::LaterVersion => "later_version",
        }
    }

    /// Whether something of the context is lost by it, or may be the wrong one.
    #[must_use]
    pub const fn is_loss(self) -> bool {
        !matches!(
            self,
            Self::ByteArray
                | Self::OtherCase
                | Self::Renamed
                | Self::Duplicated
                | Self::ReservedFlags
                | Self::LaterVersion
        )
    }

    /// What it means, as the end of a sentence about the header.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Missing => "is not there: whoever handles the message begins a new trace",
            Self::Malformed => "cannot be read, or not all of it",
            Self::Conflicting => {
                "names different contexts: the last valid one counts, the other is linked"
            }
            Self::Empty => "has no value",
            Self::Truncated => "ends too early",
            Self::UpperCaseDigits => "has upper-case digits, which the specification forbids",
            Self::NotUtf8 => "is not UTF-8, and counts as absent",
            Self::NotText => "has a type that is no text, and counts as absent",
            Self::OverLimit => "has more members or bytes than are read",
            Self::OfAnotherTrace => "belongs to no traceparent that counts, and is left out",
            Self::Foreign(_) => {
                "is not there, but the context is in another format: a fallback propagator reads it"
            }
            Self::ByteArray => {
                "is a byte array: read here, but not by the instrumentations of Python, Java, Go and Node"
            }
            Self::OtherCase => {
                "is spelt in another case: read here, but most other readers look for the exact name"
            }
            Self::Renamed => "was renamed by a server before 2.14: read here, but not by others",
            Self::Duplicated => "is there more than once, with the same context",
            Self::ReservedFlags => "has flags set that have no meaning; they are ignored",
            Self::LaterVersion => {
                "is of a later version, of which the fields of version 00 are read"
            }
        }
    }
}

impl Diagnosis {
    /// Reads headers as a wrapped consumer of this telemetry does; `formats` are looked at where that finds no context.
    pub(crate) fn of<H: Headers>(
        telemetry: &Telemetry,
        headers: Option<&H>,
        formats: &[(&'static str, &dyn TextMapPropagator)],
    ) -> Self {
        let extracted = telemetry.extract(&Context::new(), headers, |_| true);
        let baggage = extracted.context.baggage().iter();
        let baggage =
            baggage.map(|(name, (value, _))| (name.as_str().to_owned(), value.as_str().to_owned()));
        let mut diagnosis = Self {
            baggage: baggage.collect(),
            ..Self::default()
        };
        diagnosis.baggage.sort_unstable();
        for problem in extracted.named.problems() {
            let fault = match problem {
                Problem::Malformed(_) => Fault::Malformed,
                Problem::Conflicting => Fault::Conflicting,
                _ => Fault::Missing,
            };
            diagnosis.add(fault, problem.header());
        }
        if let Some(headers) = headers {
            diagnosis.look_at(headers);
            if extracted.named.creation.is_none() {
                let found = formats
                    .iter()
                    .find(|(_, format)| active_span(&read_alone(*format, headers)).is_some());
                if let Some((name, _)) = found {
                    diagnosis.add(Fault::Foreign(name), TRACEPARENT);
                }
            }
        }
        diagnosis.creation = extracted.named.creation;
        diagnosis.conflicting = extracted.named.conflicting.map(|other| *other);
        diagnosis.findings.sort_unstable();
        diagnosis
    }

    /// Adds what only the carrier of a client can tell, if a header of this name is one of context.
    pub(crate) fn add_about(&mut self, fault: Fault, name: &[u8]) {
        if let Some((field, _)) = Field::named(name) {
            self.add(fault, field.name());
            self.findings.sort_unstable();
        }
    }

    /// Whether something like this was found.
    #[must_use]
    pub fn has(&self, fault: Fault) -> bool {
        self.findings.iter().any(|finding| finding.fault == fault)
    }

    pub(crate) fn add(&mut self, fault: Fault, header: &'static str) {
        let finding = Finding { fault, header };
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    fn look_at<H: Headers>(&mut self, headers: &H) {
        let (mut traceparents, mut tracestates, mut members) = (0, 0, 0);
        headers.for_each(&mut |name, value| {
            self.header_bytes += name.len() + value.len();
            let Some((field, is_exact)) = Field::named(name) else {
                return;
            };
            if !is_exact {
                self.add(Fault::OtherCase, field.name());
            }
            if value.trim_ascii().is_empty() {
                // An empty list says nothing, and takes nothing away.
                if field == Field::Traceparent {
                    self.add(Fault::Empty, TRACEPARENT);
                }
            } else if str::from_utf8(value).is_err() {
                self.add(Fault::NotUtf8, field.name());
            }
            let in_list = value.split(|byte| *byte == b',').count();
            match field {
                Field::Traceparent => {
                    traceparents += usize::from(self.look_at_traceparent(value));
                }
                Field::Tracestate => {
                    tracestates += 1;
                    if in_list > MAX_TRACESTATE_MEMBERS {
                        self.add(Fault::OverLimit, TRACESTATE);
                    }
                }
                Field::Baggage => {
                    self.baggage_bytes += value.len();
                    members += in_list;
                }
            }
        });
        if self.baggage_bytes > MAX_BAGGAGE_BYTES || members > MAX_BAGGAGE_MEMBERS {
            self.add(Fault::OverLimit, BAGGAGE);
        }
        let counting = ContextHeaders::read(headers);
        if traceparents > 1 && counting.conflicting().is_none() {
            self.add(Fault::Duplicated, TRACEPARENT);
        }
        let has_none = counting.incoming.traceparent.is_none();
        if tracestates > 0 && (has_none || counting.incoming.tracestate.len() < tracestates) {
            self.add(Fault::OfAnotherTrace, TRACESTATE);
        }
    }

    /// Why it is none, by what would have to be different for it to be one; else what it has beside. Whether it is one.
    fn look_at_traceparent(&mut self, value: &[u8]) -> bool {
        let text = value.trim_ascii();
        let Some(parsed) = TraceParent::parse(value) else {
            // Whatever is right of it is a part of this one.
            let whole = b"00-00000000000000000000000000000001-0000000000000001-00";
            let rest = whole.get(text.len()..).filter(|_| !text.is_empty());
            let completed = [text, rest.unwrap_or_default()].concat();
            if TraceParent::parse(&text.to_ascii_lowercase()).is_some() {
                self.add(Fault::UpperCaseDigits, TRACEPARENT);
            } else if rest.is_some_and(|rest| !rest.is_empty())
                && TraceParent::parse(&completed.to_ascii_lowercase()).is_some()
            {
                self.add(Fault::Truncated, TRACEPARENT);
            }
            return false;
        };
        let written = parsed.write();
        if text.get(..2) != written.get(..2) {
            self.add(Fault::LaterVersion, TRACEPARENT);
        }
        if text.get(53..55) != written.get(53..55) {
            self.add(Fault::ReservedFlags, TRACEPARENT);
        }
        true
    }
}
