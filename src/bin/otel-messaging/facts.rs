//! What headers say that are none of context: which message it is, who wrote it, and what it has been through.

/// What headers say that are none of context.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// What is the same on all messages about one thing: the id of a message or a correlation.
    pub(crate) identity: Option<String>,
    /// The client or service that wrote it.
    pub(crate) writer: Option<String>,
    /// Where it died before it came here.
    pub(crate) died_in: Option<String>,
    /// How often it was tried, as far as is told.
    pub(crate) attempts: Option<u64>,
    /// The broker has delivered it before.
    pub(crate) is_redelivered: bool,
}

/// Names of headers by what they say, in whatever case; those of Spring and of Kafka Connect among them.
const IDENTITIES: [&str; 10] = [
    "ce_id",
    "ce-id",
    "cloudevents:id",
    "cloudevents_id",
    "correlation-id",
    "correlation_id",
    "correlationid",
    "message-id",
    "message_id",
    "nats-msg-id",
];
const WRITERS: [&str; 8] = [
    "app-id",
    "ce_source",
    "ce-source",
    "client-id",
    "cloudevents:source",
    "cloudevents_source",
    "service-name",
    "service.name",
];
const DIED_IN: [&str; 5] = [
    "__connect.errors.topic",
    "kafka_dlt-original-topic",
    "x-dead-letter-topic",
    "x-first-death-queue",
    "x-original-topic",
];
/// Spring writes a number of four bytes, others digits.
const ATTEMPTS: [&str; 5] = [
    "kafka_deliveryattempt",
    "retry_topic-attempts",
    "x-attempts",
    "x-delivery-count",
    "x-retry-count",
];

/// Characters that are kept of a text.
const MOST: usize = 256;

impl Facts {
    /// Takes what a header says; of the same kind, the first one counts.
    pub(crate) fn look_at(&mut self, name: &[u8], value: &[u8]) {
        let is_one = |names: &[&str]| {
            let mut names = names.iter();
            names.any(|one| one.as_bytes().eq_ignore_ascii_case(name))
        };
        let text = || {
            let text = str::from_utf8(value).ok()?.trim();
            // What strangers send may be of any length, and many are kept.
            (!text.is_empty()).then(|| text.chars().take(MOST).collect())
        };
        if is_one(&IDENTITIES) {
            self.identity = self.identity.take().or_else(text);
        } else if is_one(&WRITERS) {
            self.writer = self.writer.take().or_else(text);
        } else if is_one(&DIED_IN) {
            self.died_in = self.died_in.take().or_else(text);
        } else if is_one(&ATTEMPTS) {
            self.attempts = self.attempts.or_else(|| number(value));
        }
    }
}

fn number(value: &[u8]) -> Option<u64> {
    let digits = str::from_utf8(value)
        .ok()
        .and_then(|text| text.trim().parse().ok());
    digits.or_else(|| match value.try_into() {
        Ok(four) => u64::try_from(i32::from_be_bytes(four)).ok(),
        Err(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_text_of_any_length_the_begin_is_kept() {
        let mut facts = Facts::default();

        facts.look_at(b"Message-Id", "ü".repeat(1_000_000).as_bytes());

        assert_eq!(facts.identity, Some("ü".repeat(MOST)));
    }
}
