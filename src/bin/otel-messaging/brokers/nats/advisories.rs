//! What a server says of messages that a consumer of JetStream gives up: which one of which stream. It says so once, and
//! keeps it nowhere but in a stream that has its subject.

use std::fmt::Display;
use std::sync::Arc;
use std::time::SystemTime;

use async_nats::Message;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::GetStreamByNameErrorKind;
use otel_messaging::internal::Diagnosis;
use serde_json::Value;

use super::Sink;
use super::stored::{self, Stored};
use crate::facts::{self, Facts};
use crate::failure::Failure;
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

/// Other streams that keep what is said of the dead messages of this one.
pub(super) async fn keepers(context: &Context, stream: &str) -> Vec<String> {
    let mut keepers = Vec::new();
    for (subject, _) in OF_DEATH {
        match context
            .stream_by_subject(format!("{subject}{stream}.any"))
            .await
        {
            Ok(keeper) if keeper != stream && !keepers.contains(&keeper) => keepers.push(keeper),
            Ok(_) => {}
            Err(error) if error.kind() == GetStreamByNameErrorKind::NotFound => {}
            // It may not be allowed.
            Err(error) => output::complain(&format!(
                "jetstream:{stream}: cannot ask which stream keeps its advisories: {error}"
            )),
        }
    }
    keepers
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
}

impl Advisories {
    pub(super) const fn new(context: Context) -> Self {
        Self { context }
    }

    /// The dead message, where it is about one. The advisory is of this time.
    pub(super) async fn look_up(
        &self,
        advisory: &Message,
        time: SystemTime,
        sink: &Sink,
    ) -> Result<Option<Seen>, Failure> {
        let Some(told) = Advisory::read(&advisory.subject, &advisory.payload) else {
            return Ok(None);
        };
        let shown = format!("jetstream:{}", told.stream);
        let place = Place::Sequence(told.sequence);
        let failed = |error: &dyn Display| Failure::because(&format!("{shown} {place}"), error);
        let found = stored::get(&self.context, &told.stream, told.sequence).await;
        let seen = match found.map_err(|error| failed(&error))? {
            Stored::Whole(message, time) => {
                let destination = format!("{shown}/{}", message.subject).into();
                super::seen(&message, destination, place, Some(time), sink)
            }
            Stored::Unreadable => without_message(shown.into(), place, false),
            Stored::Gone => without_message(shown.into(), place, true),
        };
        Ok(Some(Seen {
            facts: Facts {
                died_at: Some(time),
                ..of(told, seen.facts)
            },
            ..seen
        }))
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
