//! Clients of Kafka: one that is set up so that it only reads, one that sends what is to be sent again, and what they
//! complain about.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext as _, RDKafkaLogLevel};
use rdkafka::consumer::{ConsumerContext, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::FutureProducer;

use crate::arguments::{Access, properties};
use crate::failure::Failure;

pub(super) type Client = StreamConsumer<Complaints>;

/// Whether it is about a broker, of which there may be others, and which may come back, or about the group alone.
pub(super) fn is_passing(error: &KafkaError) -> bool {
    is_of_group(error)
        || matches!(
            error.rdkafka_error_code(),
            Some(
                RDKafkaErrorCode::AllBrokersDown
                    | RDKafkaErrorCode::BrokerTransportFailure
                    | RDKafkaErrorCode::OperationTimedOut
                    | RDKafkaErrorCode::Resolve
            )
        )
}

/// Whether it says that there is no right to the group, in which nothing is done.
pub(super) fn is_of_group(error: &KafkaError) -> bool {
    let code = error.rdkafka_error_code();
    code == Some(RDKafkaErrorCode::GroupAuthorizationFailed)
}

pub(super) fn connect(access: &Access) -> Result<Client, Failure> {
    let unique = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos();
    // librdkafka wants a name before it lets partitions be assigned. It asks who coordinates the group as soon as it has
    // one; nothing is joined or committed.
    let group = format!("otel-messaging-{}-{unique}", std::process::id());
    let mut config = config(
        access,
        &[
            ("group.id", &group),
            ("queued.max.messages.kbytes", "16384"),
            ("fetch.wait.max.ms", "100"),
        ],
    )?;
    // What makes it read alone is not for anybody to set.
    config
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        // Where what was asked for has been deleted meanwhile.
        .set("auto.offset.reset", "earliest")
        .set("allow.auto.create.topics", "false");
    let client = Client::from_config_and_context(&config, complaints(&config));
    client.map_err(refused)
}

/// A client that sends one record after the other, and each once.
pub(super) fn producer(
    access: &Access,
) -> Result<(FutureProducer<Complaints>, Complaints), Failure> {
    let config = config(
        access,
        &[
            ("enable.idempotence", "true"),
            ("linger.ms", "0"),
            ("message.timeout.ms", "30000"),
        ],
    )?;
    let complaints = complaints(&config);
    // Its own is out of reach.
    let producer = FutureProducer::from_config_and_context(&config, complaints.clone());
    Ok((producer.map_err(refused)?, complaints))
}

/// What the user has set goes before these defaults.
fn config(access: &Access, defaults: &[(&str, &str)]) -> Result<ClientConfig, Failure> {
    let mut config = ClientConfig::new();
    config
        .set("client.id", "otel-messaging")
        .set_log_level(RDKafkaLogLevel::Emerg);
    for (key, value) in defaults {
        config.set(*key, *value);
    }
    if let Some(brokers) = &access.brokers {
        config.set("bootstrap.servers", brokers);
    }
    if let Some(path) = &access.config {
        let shown = path.display().to_string();
        let text = fs::read_to_string(path).map_err(|error| Failure::because(&shown, error))?;
        let properties = properties(&text).map_err(|error| Failure::because(&shown, error))?;
        for (key, value) in properties {
            config.set(key, value);
        }
    }
    for (key, value) in &access.properties {
        config.set(key, value);
    }
    match config.get("bootstrap.servers") {
        Some(_) => Ok(config),
        None => Err(Failure::new(
            "kafka: which brokers? Give --brokers or KAFKA_BROKERS",
        )),
    }
}

fn complaints(config: &ClientConfig) -> Complaints {
    let brokers = config.get("bootstrap.servers").unwrap_or_default();
    Complaints {
        brokers: brokers.to_owned(),
        told: Arc::default(),
    }
}

fn refused(error: KafkaError) -> Failure {
    match error {
        // Its value may be a password.
        KafkaError::ClientConfig(_, text, key, _) => Failure::new(format!("kafka: {key}: {text}")),
        error => Failure::because("kafka", error),
    }
}

/// What the client has complained about last: its errors are codes, and say less.
#[derive(Clone, Debug)]
pub(super) struct Complaints {
    brokers: String,
    told: Arc<Mutex<Option<String>>>,
}

impl Complaints {
    pub(super) fn failure(&self, what: &str, error: &KafkaError) -> Failure {
        let code = error.rdkafka_error_code();
        self.told(match code {
            Some(RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::AllBrokersDown) => {
                format!("{what}: no broker of {} answers", self.brokers)
            }
            Some(code) => format!("{what}: {code}"),
            None => format!("{what}: {error}"),
        })
    }

    /// With what the client has said last.
    pub(super) fn told(&self, text: String) -> Failure {
        let told = self.told.lock().ok().and_then(|told| told.clone());
        Failure::new(match told {
            Some(told) => format!("{text} ({told})"),
            None => text,
        })
    }
}

impl ClientContext for Complaints {
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, _: KafkaError, reason: &str) {
        if let Ok(mut told) = self.told.lock() {
            *told = Some(reason.to_owned());
        }
    }
}

impl ConsumerContext for Complaints {}
