//! An order is stored with the message about it in one transaction, and the message keeps the trace of the order.
//!
//! ```text
//! cargo run --features outbox --example outbox                                # embedded mock cluster
//! KAFKA_BROKERS=127.0.0.1:9092 cargo run --features outbox --example outbox   # a cluster of yours
//! ```
//!
//! `shop` writes the order and a row of an outbox, with the context as a text in a column. `relay` reads the outbox
//! later, publishes what is there, and deletes it. `billing` handles the messages. All run in this process, but each has
//! telemetry and clients of its own, as three programs would; the database is `SQLite`, in a file.
//!
//! The column has the name and the format that Debezium's outbox event router reads: with Debezium there is no
//! `relay`.

use std::path::Path;
use std::time::Duration;
use std::{env, fs, process};

use anyhow::{Context as _, Result};
use examples::kafka::consume;
use examples::stop::Stop;
use examples::telemetry::{self, Providers};
use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::SpanKind;
use otel_messaging::{kafka, text, w3c};
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use rusqlite::{Connection, params};
use tokio::time::timeout;

type Cluster = examples::kafka::Cluster<2>;

const TIMEOUT: Duration = Duration::from_secs(5);

const TABLES: &str = "
    CREATE TABLE orders (id TEXT PRIMARY KEY);
    CREATE TABLE outbox (
        id INTEGER PRIMARY KEY,
        topic TEXT NOT NULL,
        payload TEXT NOT NULL,
        tracingspancontext TEXT NOT NULL
    );
";

#[tokio::main]
async fn main() -> Result<()> {
    let stop = Stop::on_ctrl_c().await;
    let cluster = Cluster::from_env(["orders", "dead-letters"]).await?;
    let file = env::temp_dir().join(format!("outbox-{}.sqlite", process::id()));
    let programs = ["shop", "relay", "billing"].map(Providers::new);
    let [shop, relay, billing] = programs;
    let (shop, relay, billing) = (shop?, relay?, billing?);

    let work = async {
        let database = Connection::open(&file)?;
        database.execute_batch(TABLES)?;
        take_order(&shop, database, &cluster, "order 1").await?;
        publish(&relay, &file, &cluster).await?;
        bill(&billing, &cluster, &stop).await
    };
    let ended = timeout(6 * TIMEOUT, work).await;

    let removed = fs::remove_file(&file);
    let cleaned_up = cluster.clean_up(&["billing"]).await;
    let programs = [&shop, &relay, &billing];
    println!("\n{}\n", telemetry::tree(&programs)?);
    telemetry::shut_down(&programs);
    ended.context("the order was not billed in time")??;
    println!("{}", stop.last_words(guide(&cluster)));
    removed?;
    cleaned_up
}

/// The order and the message about it: both are stored, or none.
async fn take_order(
    shop: &Providers,
    mut database: Connection,
    cluster: &Cluster,
    order: &str,
) -> Result<()> {
    let [orders, _] = &cluster.topics;
    let store = async {
        let context = text::inject(&w3c::Propagator::new(), &Context::current());
        let transaction = database.transaction()?;
        transaction.execute("INSERT INTO orders (id) VALUES (?1)", [order])?;
        transaction.execute(
            "INSERT INTO outbox (topic, payload, tracingspancontext) VALUES (?1, ?2, ?3)",
            params![orders, order, context],
        )?;
        transaction.commit()?;
        Ok(())
    };
    shop.in_span("POST /orders", SpanKind::Server, store).await
}

struct Row {
    id: i64,
    topic: String,
    payload: String,
    context: String,
}

/// Publishes what is in the outbox, each message in the context that was stored with it.
async fn publish(relay: &Providers, file: &Path, cluster: &Cluster) -> Result<()> {
    let database = Connection::open(file)?;
    let producer: FutureProducer = cluster.client("relay").create()?;
    let producer = kafka::Producer::wrap(&relay.telemetry(), producer);

    for row in stored(&database)? {
        let context = text::extract(&w3c::Propagator::new(), &row.context);
        let record = FutureRecord::to(&row.topic)
            .key(&row.payload)
            .payload(&row.payload);
        let sent = producer.send(record, TIMEOUT).with_context(context).await;
        sent.map_err(|(error, _)| error)?;
        // After a crash right here it is sent twice, as by any relay; it is lost never.
        database.execute("DELETE FROM outbox WHERE id = ?1", [row.id])?;
    }
    Ok(producer.flush(TIMEOUT)?)
}

fn stored(database: &Connection) -> Result<Vec<Row>> {
    let mut query = database
        .prepare("SELECT id, topic, payload, tracingspancontext FROM outbox ORDER BY id")?;
    let rows = query.query_map([], |row| {
        Ok(Row {
            id: row.get(0)?,
            topic: row.get(1)?,
            payload: row.get(2)?,
            context: row.get(3)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

async fn bill(billing: &Providers, cluster: &Cluster, stop: &Stop) -> Result<()> {
    let [orders, dead_letters] = &cluster.topics;
    let telemetry = billing.telemetry();
    let consumer: StreamConsumer = cluster.consumer("billing").create()?;
    let consumer = kafka::Consumer::wrap(&telemetry, consumer);
    consumer.subscribe(&[orders])?;
    let producer: FutureProducer = cluster.client("billing").create()?;
    let producer = kafka::Producer::wrap(&telemetry, producer);

    let charge = async |order: &BorrowedMessage<'_>| {
        let order = order.payload_view::<str>().context("no payload")??;
        println!("  billing: {order} charged");
        stop.ask();
        anyhow::Ok(())
    };
    consume(&consumer, &producer, dead_letters, stop.asked(), charge).await?;
    Ok(())
}

fn guide(cluster: &Cluster) -> String {
    let [orders, _] = &cluster.topics;
    format!(
        "\
How to read it: `send {orders}` of relay stands below `POST /orders` of shop, which had ended by then:
its context was in the row that relay has read. `process {orders}` of billing is in that trace too."
    )
}
