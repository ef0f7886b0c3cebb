//! What headers say that are none of context: which message it is, who wrote it, and what it has been through.

use std::time::SystemTime;

/// What headers say that are none of context.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// What is the same on all messages about one thing: the id of a message or a correlation.
    pub(crate) identity: Option<String>,
    /// The client or service that wrote it.
    pub(crate) writer: Option<String>,
    /// Where it died before it came here.
    pub(crate) died_in: Option<String>,
    /// Its partition there.
    pub(crate) died_partition: Option<u64>,
    /// Its offset or sequence number there.
    pub(crate) died_offset: Option<u64>,
    /// When that was, where it is told apart from when it was written here.
    pub(crate) died_at: Option<SystemTime>,
    /// Who gave it up: a consumer, a group of them, or a connector.
    pub(crate) given_up_by: Option<String>,
    /// Why: a word of the broker, or the class of an exception.
    pub(crate) reason: Option<String>,
    /// The class of the exception's cause, which says more where a framework has wrapped it.
    pub(crate) cause: Option<String>,
    /// What the exception says, which can be anything.
    pub(crate) message: Option<String>,
    /// Each queue that it died in, by reason; the latest first.
    pub(crate) deaths: Vec<Death>,
    /// The key that it had when it died first.
    pub(crate) routing_key: Option<String>,
    /// How often it was tried, as far as is told.
    pub(crate) attempts: Option<u64>,
    /// The broker has delivered it before.
    pub(crate) is_redelivered: bool,
    /// Something of it is what is written of dead messages alone, whether or not it says where or why.
    pub(crate) is_marked: bool,
    /// It is where it was when it died.
    pub(crate) is_in_place: bool,
    /// It died, but is not there any more.
    pub(crate) is_gone: bool,
}

/// That it died in a queue, once or more often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Death {
    pub(crate) queue: String,
    pub(crate) reason: String,
    pub(crate) count: u64,
}

/// Deaths that are kept of a message.
pub(crate) const MOST_DEATHS: usize = 16;

/// Names of headers by what they say, in whatever case.
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
/// Those of dead letters are written by Kafka Connect, Kafka Streams, Spring, `SmallRye` and RabbitMQ.
const DIED_IN: [&str; 9] = [
    "__connect.errors.topic",
    "__streams.errors.topic",
    "dead-letter-topic",
    "kafka_dlt-original-topic",
    "kafka_original-topic",
    "x-dead-letter-topic",
    "x-first-death-queue",
    "x-original-exchange",
    "x-original-topic",
];
const DIED_PARTITIONS: [&str; 6] = [
    "__connect.errors.partition",
    "__streams.errors.partition",
    "dead-letter-partition",
    "kafka_dlt-original-partition",
    "kafka_original-partition",
    "x-original-partition",
];
const DIED_OFFSETS: [&str; 6] = [
    "__connect.errors.offset",
    "__streams.errors.offset",
    "dead-letter-offset",
    "kafka_dlt-original-offset",
    "kafka_original-offset",
    "x-original-offset",
];
const GIVEN_UP_BY: [&str; 3] = [
    "__connect.errors.connector.name",
    "kafka_dlt-original-consumer-group",
    "kafka_original-consumer-group",
];
const REASONS: [&str; 7] = [
    "__connect.errors.exception.class.name",
    "__streams.errors.exception",
    "dead-letter-exception-class-name",
    "kafka_dlt-exception-fqcn",
    "kafka_exception-fqcn",
    "x-exception-fqcn",
    "x-first-death-reason",
];
const CAUSES: [&str; 3] = [
    "dead-letter-cause-class-name",
    "kafka_dlt-exception-cause-fqcn",
    "kafka_exception-cause-fqcn",
];
const MESSAGES: [&str; 6] = [
    "__connect.errors.exception.message",
    "__streams.errors.message",
    "dead-letter-reason",
    "kafka_dlt-exception-message",
    "kafka_exception-message",
    "x-exception-message",
];
const ATTEMPTS: [&str; 3] = [
    "kafka_deliveryattempt",
    "retry_topic-attempts",
    "x-attempts",
];
/// How often it was tried before; a quorum queue of RabbitMQ counts so.
const RETRIES: [&str; 2] = ["x-delivery-count", "x-retry-count"];

/// Characters that are kept of a text.
const MOST: usize = 256;

impl Facts {
    /// Takes what a header says; of the same kind, the first one counts.
    pub(crate) fn look_at(&mut self, name: &[u8], value: &[u8]) {
        let is_one = |names: &[&str]| {
            let mut names = names.iter();
            names.any(|one| one.as_bytes().eq_ignore_ascii_case(name))
        };
        let texts: [(&[&str], &mut Option<String>); 7] = [
            (&IDENTITIES, &mut self.identity),
            (&WRITERS, &mut self.writer),
            (&DIED_IN, &mut self.died_in),
            (&GIVEN_UP_BY, &mut self.given_up_by),
            (&REASONS, &mut self.reason),
            (&CAUSES, &mut self.cause),
            (&MESSAGES, &mut self.message),
        ];
        for (names, fact) in texts {
            if is_one(names) {
                *fact = fact.take().or_else(|| text(value));
                return;
            }
        }
        let numbers: [(&[&str], &mut Option<u64>); 3] = [
            (&DIED_PARTITIONS, &mut self.died_partition),
            (&DIED_OFFSETS, &mut self.died_offset),
            (&ATTEMPTS, &mut self.attempts),
        ];
        for (names, fact) in numbers {
            if is_one(names) {
                *fact = fact.or_else(|| number(value));
                return;
            }
        }
        if is_one(&RETRIES) {
            let before = || number(value)?.checked_add(1);
            self.attempts = self.attempts.or_else(before);
        }
    }

    /// Whether it says, or somebody says of it, that it was given up. That it was tried often is not that.
    pub(crate) fn is_dead(&self) -> bool {
        self.is_marked || self.died_in.is_some() || self.reason.is_some() || !self.deaths.is_empty()
    }
}

/// What strangers send may be of any length, and many are kept.
pub(crate) fn text(value: &[u8]) -> Option<String> {
    let text = str::from_utf8(value).ok()?.trim();
    (!text.is_empty()).then(|| text.chars().take(MOST).collect())
}

/// Digits; Spring writes numbers of four bytes or eight.
fn number(value: &[u8]) -> Option<u64> {
    // As a number, these would be above all that is counted.
    if value.iter().all(u8::is_ascii_graphic) {
        return str::from_utf8(value).ok()?.parse().ok();
    }
    let number = match *value {
        [a, b, c, d] => i32::from_be_bytes([a, b, c, d]).into(),
        [a, b, c, d, e, f, g, h] => i64::from_be_bytes([a, b, c, d, e, f, g, h]),
        _ => return str::from_utf8(value).ok()?.trim().parse().ok(),
    };
    u64::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_text_of_any_length_the_begin_is_kept() {
        let mut facts = Facts::default();

        facts.look_at(b"Message-Id", "ü".repeat(1_000_000).as_bytes());
        facts.look_at(
            b"kafka_dlt-exception-message",
            "x".repeat(1_000_000).as_bytes(),
        );

        assert_eq!(facts.identity, Some("ü".repeat(MOST)));
        assert_eq!(facts.message, Some("x".repeat(MOST)));
    }

    #[test]
    fn dead_letters_of_the_known_writers_say_where_why_and_how_often() {
        let spring: [(&str, &[u8]); 9] = [
            ("kafka_dlt-original-topic", b"orders"),
            ("kafka_dlt-original-partition", &3_i32.to_be_bytes()),
            ("kafka_dlt-original-offset", &42_i64.to_be_bytes()),
            ("kafka_dlt-original-consumer-group", b"billing"),
            (
                "kafka_dlt-exception-fqcn",
                b"ListenerExecutionFailedException",
            ),
            (
                "kafka_dlt-exception-cause-fqcn",
                b"java.lang.IllegalStateException",
            ),
            ("kafka_dlt-exception-message", b"no money"),
            ("retry_topic-attempts", &4_i32.to_be_bytes()),
            ("kafka_original-topic", b"orders-retry-0"),
        ];
        let connect: [(&str, &[u8]); 6] = [
            ("__connect.errors.topic", b"orders"),
            ("__connect.errors.partition", b"3"),
            ("__connect.errors.offset", b"42"),
            ("__connect.errors.connector.name", b"billing"),
            (
                "__connect.errors.exception.class.name",
                b"ListenerExecutionFailedException",
            ),
            ("__connect.errors.exception.message", b"no money"),
        ];
        let read = |headers: &[(&str, &[u8])]| {
            let mut facts = Facts::default();
            for (name, value) in headers {
                facts.look_at(name.as_bytes(), value);
            }
            facts
        };
        let some = |text: &str| Some(text.to_owned());
        let of_connect = Facts {
            died_in: some("orders"),
            died_partition: Some(3),
            died_offset: Some(42),
            given_up_by: some("billing"),
            reason: some("ListenerExecutionFailedException"),
            message: some("no money"),
            ..Facts::default()
        };
        let of_spring = Facts {
            cause: some("java.lang.IllegalStateException"),
            attempts: Some(4),
            ..of_connect.clone()
        };

        assert_eq!(read(&spring), of_spring);
        assert_eq!(read(&connect), of_connect);
        assert!(of_spring.is_dead() && of_connect.is_dead());
    }

    #[test]
    fn what_no_writer_writes_says_nothing() {
        let mut facts = Facts::default();
        for (name, value) in [
            ("kafka_dlt-original-topic", b"\xff\xfe".as_slice()),
            ("kafka_dlt-original-topic", b"  "),
            ("kafka_dlt-original-partition", &(-1_i32).to_be_bytes()),
            ("kafka_dlt-original-offset", &i64::MIN.to_be_bytes()),
            ("kafka_dlt-original-offset", b"\xff\xfe\xfd"),
            ("kafka_dlt-exception-fqcn", b""),
            ("retry_topic-attempts", b"99999999999999999999999"),
            ("x-delivery-count", b"many"),
        ] {
            facts.look_at(name.as_bytes(), value);
        }

        assert_eq!(facts, Facts::default());
        assert!(!facts.is_dead());
    }

    #[test]
    fn deliveries_before_this_one_are_told_from_all() {
        for (name, value, attempts) in [
            ("x-delivery-count", "0", 1),
            ("x-delivery-count", "1", 2),
            ("X-Retry-Count", "2", 3),
            ("x-attempts", "2", 2),
        ] {
            let mut facts = Facts::default();

            facts.look_at(name.as_bytes(), value.as_bytes());

            assert_eq!(facts.attempts, Some(attempts), "{name}: {value}");
        }
    }
}
