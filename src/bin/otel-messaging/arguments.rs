//! The command line.
#![expect(
    clippy::doc_markdown,
    reason = "help is shown as it stands, without Markdown"
)]

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::destination::Destination;

/// Where does the trace break? Told from the messages on live topics, queues, streams and subjects.
///
/// It reads: no consumer group is joined, nothing is committed, nothing is taken from a queue of others, but with
/// --peek, and then put back. What it listens to, it is one more listener of; see below. Only dlq --redrive --write writes.
#[derive(Debug, Parser)]
#[command(name = "otel-messaging", version, after_help = EXIT_CODES, after_long_help = AFTER)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 all is well; 1 it is not (--fail-under, check, --redrive); 2 wrong arguments, \
                          or something cannot be read or sent";

const AFTER: &str = "Destinations:
  kafka:TOPIC                      topics, as a name or a pattern with * and ?
  rabbitmq:EXCHANGE[/ROUTING-KEY]  what is published from now on, by an exclusive queue that is bound meanwhile. All
                                   keys where none is given, but of a direct exchange, which needs its key. Of what
                                   comes faster than it is read, the latest 10000 are kept, and older ones lost. What no
                                   other queue takes is not returned, nor goes to an alternate exchange, meanwhile;
                                   an exchange that deals out messages deals to it too; and an auto-delete exchange
                                   that has no other binding would be deleted at the end
  rabbitmq-stream:NAME             what a stream of RabbitMQ holds; --since goes by the times of its messages, where they
                                   have any
  rabbitmq-queue:NAME              an existing queue, with --peek
  rabbitmq-firehose:KEY            what is published and delivered while the broker traces, with --firehose: as
                                   publish.EXCHANGE or deliver.QUEUE, wildcards * and # as in bindings
  nats:SUBJECT                     what is published from now on, wildcards as in NATS. A request that nobody else
                                   answers waits for its time meanwhile: there is somebody who listens
  jetstream:STREAM[/SUBJECT]       what a stream of JetStream holds. One that loses what is consumed, by work queue or
                                   interest, is read message by message without a consumer, and so is any other from a
                                   message on whose headers the client does not take; that one counts without context

Exit codes:
  0  all is well, as far as it was read when Ctrl-C or a closed pipe ended it
  1  it is not: fewer messages with context than --fail-under, for check headers by which context is lost, or with
     --redrive dead messages that are left out
  2  wrong arguments, or something cannot be read or sent: a file, a connection, a topic that is not there";

const AFTER_DLQ: &str = "What is known as dead, by its headers or by what a server says:
  kafka:TOPIC             records that Spring, Kafka Connect, Kafka Streams or SmallRye gave up
  rabbitmq-queue:NAME, rabbitmq-stream:NAME, rabbitmq:EXCHANGE
                          messages with x-death, or that Spring has published again
  jetstream:STREAM        messages of the stream that consumers gave up, if any stream keeps what
                          the server says of that, on the subjects
                          $JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.> and MSG_TERMINATED.>;
                          of the stream that keeps it, the messages of all streams that it is about.
                          They are still in their streams, and are looked up there. One whose stream cannot be
                          asked is listed, and left out of --redrive
  nats:SUBJECT            the same from now on: nats:'$JS.EVENT.ADVISORY.CONSUMER.*.STREAM.>'

--redrive TO, of the same system:
  kafka:TOPIC             a record that died in this topic goes back to its partition, any other by
                          its key: as librdkafka does it, or with -X partitioner=murmur2_random
                          as Java does it
  rabbitmq:EXCHANGE[/ROUTING-KEY]
                          where no key is given, each by the one that it had when it died first
  rabbitmq-queue:NAME, rabbitmq-stream:NAME
  jetstream:STREAM[/SUBJECT]
                          where no subject is given, each by its own

Headers, key and payload are sent as they are, so that whoever handles the message goes on with
the trace that it comes from. Left out are what a queue of RabbitMQ adds for its reader
(x-delivery-count, x-stream-offset), and headers of NATS that tell the server what to do (Nats-...).
A record of Kafka has a new time. A CC header of RabbitMQ is obeyed again.

All who read TO have it again, also those who had handled it; of RabbitMQ, rabbitmq-queue: with the
queue that it died in reaches that one alone.

A message counts as sent when the broker says that it has it. The first error ends all, and what
was sent until then is said; the message that it is about may have arrived. This removes nothing from
where it was: who runs this again sends again. Yet a quorum queue that is read with --peek counts
that, and beyond its limit of deliveries deletes what it cannot dead-letter. All that is read with
--peek is held until the end: what takes longer than the broker's consumer_timeout, 30 minutes unless
it is set, ends with an error; --max ends before.

Counts of attempts in headers go along: who goes by them may give a message up at once.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Judges headers: what a wrapped consumer makes of them, and what other readers do.
    Check(Check),
    /// Counts what is right and what is wrong with the contexts in destinations.
    Scan(Scan),
    /// Prints a line for each message, from now on; of rabbitmq-queue:NAME, which is read with --peek, for the first 1000
    /// that it has.
    Tap(Tap),
    /// Shows the messages of one trace over all given destinations, in order, and where it breaks; with --spans who sent
    /// and took them.
    Trace(Trace),
    /// Draws who sends to whom, as far as headers tell, and where context is lost.
    Graph(Graph),
    /// Lists dead messages: the trace they come from, where and why they died, how often they were tried; and sends them
    /// again.
    #[command(after_long_help = AFTER_DLQ)]
    Dlq(Dlq),
}

#[derive(Args, Debug)]
pub(crate) struct Check {
    /// A file of JSON, or - for standard input: an object of names and values, a list of [name, value], or a message
    /// as kcat -J prints it. A value is a text, null, or {"hex": "…"}.
    #[arg(value_name = "FILE|-")]
    pub(crate) file: PathBuf,
    /// Prints JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Shows the values of baggage.
    #[arg(long)]
    pub(crate) values: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Scan {
    #[command(flatten)]
    pub(crate) reading: Reading,
    /// Counts messages as old whose age is above this, such as 10m.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) max_age: Option<Duration>,
    /// Counts messages as oversized that have more bytes than this, headers and payload.
    #[arg(long, value_name = "BYTES", default_value_t = 1_000_000)]
    pub(crate) max_bytes: usize,
    /// Ends with exit code 1 if fewer messages than this share have a context, in percent, in any destination, or if
    /// in one that was asked for there is no message at all.
    #[arg(long, value_name = "PERCENT")]
    pub(crate) fail_under: Option<f64>,
    /// Prints JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Tap {
    #[command(flatten)]
    pub(crate) reading: Reading,
    /// Shows the values of baggage, and not its names alone.
    #[arg(long)]
    pub(crate) values: bool,
    /// Adds a link to the trace: an address with {trace_id} in it.
    #[arg(long, value_name = "TEMPLATE")]
    pub(crate) link: Option<String>,
    /// Prints one JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
#[command(mut_arg("destinations", |destinations| destinations.required_unless_present("spans").required(false)))]
pub(crate) struct Trace {
    /// A trace id of 32 hexadecimal digits, or a Kafka message as TOPIC/PARTITION/OFFSET.
    #[arg(value_name = "ID|TOPIC/PARTITION/OFFSET")]
    pub(crate) trace: String,
    #[command(flatten)]
    pub(crate) reading: Reading,
    /// Draws spans beside the messages, or alone where no destination is given: of a file of OTLP as JSON, as the
    /// Collector's file exporter writes it, or from Jaeger, such as http://localhost:16686.
    #[arg(long, value_name = "FILE|URL")]
    pub(crate) spans: Option<String>,
    /// How it is drawn.
    #[arg(long, value_enum, default_value_t = Drawing::Text)]
    pub(crate) format: Drawing,
}

#[derive(Args, Debug)]
pub(crate) struct Graph {
    #[command(flatten)]
    pub(crate) reading: Reading,
    /// How it is drawn.
    #[arg(long, value_enum, default_value_t = Drawing::Text)]
    pub(crate) format: Drawing,
}

#[derive(Args, Debug)]
pub(crate) struct Dlq {
    /// Takes all messages for dead, also those that say nothing of it: for destinations that have no others.
    #[arg(long)]
    pub(crate) unmarked: bool,
    /// Shows what exceptions say, which may hold parts of messages.
    #[arg(long)]
    pub(crate) values: bool,
    /// Says what would be sent to this destination.
    #[arg(long, value_name = "TO")]
    pub(crate) redrive: Option<Destination>,
    /// Sends it. Nothing is removed from where it was.
    #[arg(long, requires = "redrive")]
    pub(crate) write: bool,
    /// Prints one JSON object a line, the last of which sums up.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) reading: Reading,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Drawing {
    /// Lines for the terminal.
    Text,
    /// A diagram of Mermaid.
    Mermaid,
    /// A graph of Graphviz.
    Dot,
    /// JSON.
    Json,
}

/// What is read, how much of it, and from where.
#[derive(Args, Debug)]
pub(crate) struct Reading {
    /// What to read; --help lists the forms.
    #[arg(value_name = "DESTINATION", required = true)]
    pub(crate) destinations: Vec<Destination>,
    /// Reads the last so many messages of each partition or stream, where nothing is given 10000, and of a queue the first,
    /// 1000; dlq reads all, and tap begins with new ones, where this is not given. Of jetstream:STREAM/SUBJECT it counts
    /// the messages of the whole stream.
    #[arg(long, value_name = "N", conflicts_with_all = ["all", "since"])]
    pub(crate) last: Option<u64>,
    /// Reads all that partitions, streams and queues hold.
    #[arg(long, conflicts_with = "since")]
    pub(crate) all: bool,
    /// Reads what is not older than this, such as 30m; not of a queue, which does not tell. Neither this nor --last nor
    /// --all is for what is read from now on.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) since: Option<Duration>,
    /// Ends after this time; for what is published from now on, 10 seconds unless told otherwise. tap has no
    /// end, but of a queue.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub(crate) time: Option<Duration>,
    /// Ends after so many messages.
    #[arg(long, value_name = "N")]
    pub(crate) max: Option<u64>,
    /// Allows to read rabbitmq-queue:NAME: its messages are got, held and put back. Meanwhile no consumer has them, and
    /// then they are marked as redelivered; a quorum queue counts a delivery, and dead-letters them beyond its limit, or
    /// deletes them if it has no exchange for that. Where holding them takes longer than the consumer_timeout of the broker,
    /// which is 30 minutes unless it is set, the broker ends that, and it is an error.
    #[arg(long)]
    pub(crate) peek: bool,
    /// Allows to read rabbitmq-firehose:KEY. A broker has it while it traces: it copies each message of a virtual host when
    /// it is published and again at each delivery, which makes all of them slower. Whoever runs the broker switches that on
    /// and off, by rabbitmqctl trace_on and trace_off; this command never does.
    #[arg(long)]
    pub(crate) firehose: bool,
    #[command(flatten)]
    pub(crate) access: Access,
}

/// How the brokers are reached.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Connections")]
pub(crate) struct Access {
    /// Kafka's bootstrap servers.
    #[arg(long, value_name = "HOST:PORT,…", env = "KAFKA_BROKERS")]
    pub(crate) brokers: Option<String>,
    /// A property of librdkafka, such as security.protocol=SASL_SSL. No group is joined, but librdkafka asks for the one
    /// that group.id=NAME names, where nothing is given one of its own.
    #[arg(short = 'X', value_name = "KEY=VALUE", value_parser = property)]
    pub(crate) properties: Vec<(String, String)>,
    /// A file of such properties, one a line, as kcat has them.
    #[arg(long, short = 'F', value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// RabbitMQ's address, amqp:// or amqps://.
    #[arg(long, value_name = "URL", env = "AMQP_URL", hide_env_values = true)]
    pub(crate) amqp_url: Option<String>,
    /// NATS's address, nats:// or tls://; several are separated by commas.
    #[arg(long, value_name = "URL", env = "NATS_URL", hide_env_values = true)]
    pub(crate) nats_url: Option<String>,
    /// A file of NATS credentials.
    #[arg(long, value_name = "FILE")]
    pub(crate) nats_creds: Option<PathBuf>,
    /// A file with an NKey seed.
    #[arg(long, value_name = "FILE")]
    pub(crate) nats_nkey: Option<PathBuf>,
    /// Certificates of authorities that NATS is trusted by, as PEM.
    #[arg(long, value_name = "FILE")]
    pub(crate) nats_ca: Option<PathBuf>,
    /// The client's certificate for NATS, as PEM.
    #[arg(long, value_name = "FILE", requires = "nats_key")]
    pub(crate) nats_cert: Option<PathBuf>,
    /// The key of that certificate.
    #[arg(long, value_name = "FILE", requires = "nats_cert")]
    pub(crate) nats_key: Option<PathBuf>,
}

/// A whole number with a unit.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let milliseconds = match unit {
        "ms" => 1,
        "s" | "" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err("a duration is a number with ms, s, m, h or d".to_owned()),
    };
    let number: u64 = number
        .parse()
        .map_err(|_| "a duration is a number with ms, s, m, h or d".to_owned())?;
    let whole = number.checked_mul(milliseconds);
    whole
        .map(Duration::from_millis)
        .ok_or_else(|| "that is too long".to_owned())
}

fn property(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err("a property is KEY=VALUE".to_owned()),
    }
}

/// The properties in the text of a file: one a line, `#` begins a comment.
pub(crate) fn properties(text: &str) -> Result<Vec<(String, String)>, String> {
    let lines = text.lines().map(str::trim).zip(1..);
    let lines = lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
    // Not what it says, which may be a password.
    lines
        .map(|(line, number)| property(line).map_err(|error| format!("line {number}: {error}")))
        .collect()
}
