//! Our attribute keys beside the constants that OpenTelemetry generates from its conventions.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use opentelemetry_semantic_conventions::{SCHEMA_URL, attribute, metric};

macro_rules! generated {
    ($module:ident: $($name:ident)+) => {
        &[$((stringify!($name), $module::$name)),+]
    };
}

/// Every key that we have: our constant's name, and the generated constant.
const KEYS: &[(&str, &str)] = generated!(attribute:
    ERROR_TYPE
    EXCEPTION_MESSAGE
    EXCEPTION_STACKTRACE
    EXCEPTION_TYPE
    MESSAGING_BATCH_MESSAGE_COUNT
    MESSAGING_CLIENT_ID
    MESSAGING_CONSUMER_GROUP_NAME
    MESSAGING_DESTINATION_ANONYMOUS
    MESSAGING_DESTINATION_NAME
    MESSAGING_DESTINATION_PARTITION_ID
    MESSAGING_DESTINATION_TEMPLATE
    MESSAGING_DESTINATION_TEMPORARY
    MESSAGING_KAFKA_MESSAGE_KEY
    MESSAGING_KAFKA_MESSAGE_TOMBSTONE
    MESSAGING_KAFKA_OFFSET
    MESSAGING_MESSAGE_CONVERSATION_ID
    MESSAGING_MESSAGE_ID
    MESSAGING_OPERATION_NAME
    MESSAGING_OPERATION_TYPE
    MESSAGING_RABBITMQ_DESTINATION_ROUTING_KEY
    MESSAGING_RABBITMQ_MESSAGE_DELIVERY_TAG
    MESSAGING_SYSTEM
    SERVER_ADDRESS
    SERVER_PORT
);

/// The same for names of metrics.
const METRICS: &[(&str, &str)] = generated!(metric:
    MESSAGING_CLIENT_CONSUMED_MESSAGES
    MESSAGING_CLIENT_OPERATION_DURATION
    MESSAGING_CLIENT_SENT_MESSAGES
    MESSAGING_PROCESS_DURATION
);

/// Keys that the conventions do not have, and say so in their documentation.
const OURS: [(&str, &str); 10] = [
    ("CONFIRMATION", "otel_messaging.rabbitmq.confirmation"),
    (
        "DELIVERY_ATTEMPT",
        "otel_messaging.message.delivery_attempt",
    ),
    ("FAN_BACK_LEFT_OUT", "otel_messaging.fan_back.left_out"),
    ("LINK_MESSAGE_COUNT", "otel_messaging.link.message_count"),
    ("MESSAGING_HEADER", "messaging.header"),
    ("SETTLED", "otel_messaging.rabbitmq.settled"),
    ("DUPLICATE", "otel_messaging.nats.duplicate"),
    ("DUPLICATES", "otel_messaging.nats.duplicates"),
    ("STREAM", "otel_messaging.nats.stream"),
    ("STREAM_SEQUENCE", "otel_messaging.nats.stream_sequence"),
];

/// Keys of the release that we are pinned to, which the generated constants are behind of.
const NEWER: [(&str, &str); 1] = [("MESSAGING_KAFKA_CLUSTER_ID", "messaging.kafka.cluster.id")];

#[test]
fn every_key_is_the_one_of_the_conventions() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src");

    // The layout test sees to it that keys are nowhere else.
    let mut ours = BTreeMap::new();
    for file in files(&sources) {
        let path = file.strip_prefix(&sources).expect("a file of ours");
        let path = path.to_str().expect("a path in UTF-8");
        if path.starts_with("semconv") || path.contains("attributes") {
            let text = fs::read_to_string(&file).expect("a source in UTF-8");
            ours.extend(keys(&text));
        }
    }

    let conventions = KEYS.iter().chain(METRICS).chain(&NEWER).chain(&OURS);
    let conventions = conventions.map(|(name, key)| ((*name).to_owned(), (*key).to_owned()));
    assert_eq!(ours, conventions.collect());
}

#[test]
fn the_generated_constants_are_still_older_than_the_keys_they_lack() {
    assert_eq!(
        SCHEMA_URL, "https://opentelemetry.io/schemas/1.42.0",
        "a newer release may have what is in NEWER: move it to KEYS"
    );
}

/// The string constants of a source whose value has the form of a key.
fn keys(source: &str) -> Vec<(String, String)> {
    let constants = source.split("const ").skip(1);
    constants
        .filter_map(|constant| {
            let (name, rest) = constant.split_once(": &str =")?;
            let value = rest.trim_start().strip_prefix('"')?.split('"').next()?;
            let is_key = value.contains('.')
                && value
                    .bytes()
                    .all(|byte| matches!(byte, b'a'..=b'z' | b'_' | b'.'));
            is_key.then(|| (name.to_owned(), value.to_owned()))
        })
        .collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry of a folder").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}
