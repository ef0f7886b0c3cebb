//! What a server says of one message that a consumer of JetStream gives up. Whoever may publish by that subject says it too.

use serde_json::Value;

use crate::facts::{self, Facts};
use crate::output;

/// Those of a dead message, with the reason that they stand for.
pub(super) const OF_DEATH: [(&str, &str); 2] = [
    (
        "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.",
        "max_deliveries",
    ),
    ("$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.", "terminated"),
];

/// What an advisory says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Advisory {
    pub(super) reason: &'static str,
    pub(super) stream: String,
    pub(super) consumer: String,
    pub(super) sequence: u64,
    pub(super) deliveries: Option<u64>,
    /// What the application said of it.
    pub(super) message: Option<String>,
}

impl Advisory {
    /// Nothing where no server says so.
    pub(super) fn read(subject: &str, payload: &[u8]) -> Option<Self> {
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

    /// What is known of the message that it is about, by its headers and by this.
    pub(super) fn add_to(self, facts: Facts) -> Facts {
        Facts {
            died_in: Some(self.stream),
            died_offset: Some(self.sequence),
            given_up_by: Some(self.consumer),
            reason: Some(self.reason.to_owned()),
            cause: None,
            message: self.message,
            attempts: self.deliveries,
            is_in_place: true,
            ..facts
        }
    }

    /// What the user is told where the stream cannot be asked for the message.
    pub(super) fn not_looked_up(&self, error: &str) -> String {
        format!(
            "jetstream:{} {}: cannot be looked up: {}; of this stream, that is said once",
            output::plain(&self.stream),
            self.sequence,
            output::plain(error)
        )
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
