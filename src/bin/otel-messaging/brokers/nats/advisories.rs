//! What a server says of messages that a consumer of JetStream gives up: which one of which stream. It says so once, and
//! keeps it nowhere but in a stream that has its subject.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use async_nats::Message;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::GetStreamByNameErrorKind;
use otel_messaging::internal::Diagnosis;
use serde_json::Value;

use super::Sink;
use super::stored;
use crate::destination::is_subject_of;
use crate::facts::{self, Facts};
use crate::output;
use crate::seen::{Place, Publication, Seen};

/// Subjects of all advisories.
const ALL: &str = "$JS.EVENT.ADVISORY.";
/// Those of a dead message, with the reason that they stand for.
const OF_DEATH: [(&str, &str); 2] = [
    (
        "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.",
        "max_deliveries",
    ),
    ("$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.", "terminated"),
];

pub(super) fn is_advisory(subject: &str) -> bool {
    subject.starts_with(ALL)
}

/// Whether a stream with these subjects can keep what is said of others; one without any has messages of other streams.
pub(super) fn can_keep(subjects: &[String]) -> bool {
    let is_one =
        |subject: &String| is_advisory(subject) || is_subject_of(subject, &format!("{ALL}any"));
    subjects.is_empty() || subjects.iter().any(is_one)
}

/// Other streams that keep what is said of the dead messages of this one, and whether these are known to be all.
pub(super) async fn keepers(context: &Context, stream: &str) -> (Vec<String>, bool) {
    let (mut keepers, mut are_all) = (Vec::new(), true);
    for (subject, _) in OF_DEATH {
        match context
            .stream_by_subject(format!("{subject}{stream}.any"))
            .await
        {
            Ok(keeper) if keeper != stream && !keepers.contains(&keeper) => keepers.push(keeper),
            Ok(_) => {}
            Err(error) if error.kind() == GetStreamByNameErrorKind::NotFound => {}
            // It may not be allowed.
            Err(error) => {
                are_all = false;
                output::complain(&format!(
                    "jetstream:{stream}: cannot ask which stream keeps its advisories: {error}"
                ));
            }
        }
    }
    (keepers, are_all)
}

/// What an advisory says.
#[derive(Debug, PartialEq, Eq)]
struct Advisory {
    reason: &'static str,
    stream: String,
    consumer: String,
    sequence: u64,
    deliveries: Option<u64>,
    /// What the application said of it.
    message: Option<String>,
}

impl Advisory {
    fn read(subject: &str, payload: &[u8]) -> Option<Self> {
        let mut known = OF_DEATH.iter();
        let (_, reason) = known.find(|(begin, _)| subject.starts_with(begin))?;
        let told: Value = serde_json::from_slice(payload).ok()?;
        let part = |name: &str| facts::text(told.get(name)?.as_str()?.as_bytes());
        Some(Self {
            reason,
            stream: part("stream")?,
            consumer: part("consumer")?,
            sequence: told.get("stream_seq")?.as_u64()?,
            deliveries: told.get("deliveries").and_then(Value::as_u64),
            message: part("reason"),
        })
    }
}

/// The messages that advisories are about.
pub(super) struct Advisories {
    context: Context,
    /// How often in a row a stream could not be asked.
    failures: Mutex<HashMap<String, u32>>,
}

/// From then on a stream is not asked any more: where it may not be, each answer is waited for in vain.
const MOST_FAILURES: u32 = 3;

/// Streams that are remembered.
const MOST_STREAMS: usize = 1_000;

impl Advisories {
    pub(super) fn new(context: Context) -> Self {
        Self {
            context,
            failures: Mutex::default(),
        }
    }

    /// The dead message, where it is about one. The advisory is of this time.
    pub(super) async fn look_up(
        &self,
        advisory: &Message,
        time: SystemTime,
        sink: &Sink,
    ) -> Option<Seen> {
        let told = Advisory::read(&advisory.subject, &advisory.payload)?;
        let destination = || format!("jetstream:{}", told.stream).into();
        let place = Place::Sequence(told.sequence);
        let found = match self.is_given_up(&told.stream) {
            true => None,
            false => {
                let found = stored::get(&self.context, &told.stream, told.sequence).await;
                self.noted(&told, found)
            }
        };
        let seen = match found {
            Some(Some(stored)) => super::seen_in(&told.stream, &stored, sink),
            Some(None) => without_message(destination(), place, true),
            None => without_message(destination(), place, false),
        };
        Some(Seen {
            facts: Facts {
                died_at: Some(time),
                ..of(told, seen.facts)
            },
            ..seen
        })
    }

    fn is_given_up(&self, stream: &str) -> bool {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures
            .get(stream)
            .is_some_and(|count| *count >= MOST_FAILURES)
    }

    /// Complains once of each stream that cannot be asked: the others can be.
    fn noted<T>(&self, told: &Advisory, found: Result<T, String>) -> Option<T> {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let stream = &told.stream;
        let error = match found {
            Ok(found) => {
                if let Some(count) = failures.get_mut(stream) {
                    *count = 0;
                }
                return Some(found);
            }
            Err(error) => error,
        };
        if let Some(count) = failures.get_mut(stream) {
            *count += 1;
        } else if failures.len() < MOST_STREAMS {
            failures.insert(stream.clone(), 1);
            output::complain(&format!(
                "jetstream:{} {}: cannot be looked up: {error}; of this stream, that is said once",
                output::plain(stream),
                told.sequence
            ));
        }
        None
    }
}

fn of(told: Advisory, facts: Facts) -> Facts {
    Facts {
        died_in: Some(told.stream),
        died_offset: Some(told.sequence),
        given_up_by: Some(told.consumer),
        reason: Some(told.reason.to_owned()),
        cause: None,
        message: told.message,
        attempts: told.deliveries,
        is_in_place: true,
        ..facts
    }
}

fn without_message(destination: Arc<str>, place: Place, is_gone: bool) -> Seen {
    Seen {
        publication: Publication::of((&*destination, place), &[]),
        destination,
        place,
        time: None,
        now: SystemTime::now(),
        bytes: 0,
        diagnosis: Diagnosis::default(),
        facts: Facts {
            is_gone,
            ..Facts::default()
        },
        original: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_advisory_names_the_message_and_why_it_is_dead() {
        let subject = "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.ORDERS.billing";
        let told = br#"{"type":"io.nats.jetstream.advisory.v1.terminated","stream":"ORDERS",
            "consumer":"billing","consumer_seq":9,"stream_seq":7,"deliveries":3,"reason":"no money"}"#;
        let expected = Advisory {
            reason: "terminated",
            stream: "ORDERS".to_owned(),
            consumer: "billing".to_owned(),
            sequence: 7,
            deliveries: Some(3),
            message: Some("no money".to_owned()),
        };
        assert_eq!(Advisory::read(subject, told), Some(expected));
    }

    #[test]
    fn what_no_server_says_is_no_advisory() {
        let subject = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.ORDERS.billing";
        let good = r#"{"stream":"ORDERS","consumer":"billing","stream_seq":7}"#;
        assert!(Advisory::read(subject, good.as_bytes()).is_some());
        for payload in [
            "",
            "[]",
            "7",
            r#"{"stream":"ORDERS","consumer":"billing"}"#,
            r#"{"stream":"ORDERS","consumer":"billing","stream_seq":"7"}"#,
            r#"{"stream":"ORDERS","consumer":"billing","stream_seq":-7}"#,
            r#"{"stream":["ORDERS"],"consumer":"billing","stream_seq":7}"#,
            r#"{"stream":"","consumer":"billing","stream_seq":7}"#,
            &"[".repeat(100_000),
            &good[..20],
        ] {
            assert_eq!(
                Advisory::read(subject, payload.as_bytes()),
                None,
                "{payload:.80}"
            );
        }
        let other = "$JS.EVENT.ADVISORY.CONSUMER.CREATED.ORDERS.billing";
        assert_eq!(Advisory::read(other, good.as_bytes()), None);
    }
}
