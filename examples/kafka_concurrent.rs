//! Orders are billed many at a time, each in a task of its own; they are committed in order all the same.
//!
//! ```text
//! cargo run --example kafka_concurrent                                # embedded mock cluster
//! KAFKA_BROKERS=127.0.0.1:9092 cargo run --example kafka_concurrent   # a cluster of yours
//! ```
//!
//! The loop is `kafka/concurrent.rs`, to be copied; `amqp/concurrent.rs` and `nats/concurrent.rs` are those of the other
//! brokers. The handler has work done by a task and by a thread, in the trace of the order: they are given its context.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use examples::kafka::concurrent::{InFlight, consume};
use examples::stop::Stop;
use examples::telemetry::{self, Providers};
use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanKind, Tracer as _};
use otel_messaging::{Received, kafka};
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::message::{Message as _, OwnedMessage};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

type Cluster = examples::kafka::Cluster<2>;

/// The first one takes longest.
const ORDERS: [(&str, u64); 4] = [("1", 300), ("2", 50), ("3", 100), ("4", 50)];
const AT_A_TIME: usize = 3;
const TIMEOUT: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<()> {
    let stop = Stop::on_ctrl_c().await;
    let cluster = Cluster::from_env(["orders", "dead-letters"]).await?;
    let billing = Arc::new(Billing::start(&cluster)?);

    let work = async { tokio::try_join!(billing.order(), billing.work(&cluster, &stop)) };
    let ended = timeout(6 * TIMEOUT, work).await;

    let flushed = billing.producer.flush(TIMEOUT);
    let cleaned_up = cluster.clean_up(&["billing"]).await;
    let programs = [&billing.providers];
    println!("\n{}\n", telemetry::tree(&programs)?);
    telemetry::shut_down(&programs);
    ended.context("the orders were not billed in time")??;
    println!("{}", stop.last_words(guide(&cluster)));
    flushed?;
    cleaned_up
}

struct Billing {
    providers: Providers,
    producer: kafka::Producer,
    orders: String,
    billed: watch::Sender<usize>,
}

impl Billing {
    fn start(cluster: &Cluster) -> Result<Self> {
        let providers = Providers::new("billing")?;
        let producer: FutureProducer = cluster.client("billing").create()?;
        let [orders, _] = cluster.topics.clone();
        Ok(Self {
            producer: kafka::Producer::wrap(&providers.telemetry(), producer),
            providers,
            orders,
            billed: watch::Sender::default(),
        })
    }

    async fn order(&self) -> Result<()> {
        for (order, _) in ORDERS {
            let record = FutureRecord::to(&self.orders).key(order).payload(order);
            let sent = self.producer.send(record, TIMEOUT).await;
            sent.map_err(|(error, _)| error)?;
        }
        Ok(())
    }

    async fn work(self: &Arc<Self>, cluster: &Cluster, stop: &Stop) -> Result<()> {
        let config = cluster.consumer("billing");
        let client: StreamConsumer<InFlight> = config.create_with_context(InFlight::default())?;
        let consumer = kafka::Consumer::wrap(&self.providers.telemetry(), client);
        consumer.subscribe(&[&self.orders])?;
        let [_, dead_letters] = &cluster.topics;
        let billing = Arc::clone(self);
        let handle = move |order| bill(Arc::clone(&billing), order);
        let mut billed = self.billed.subscribe();
        let stop = async {
            tokio::select! {
                () = stop.asked() => {}
                _ = billed.wait_for(|billed| *billed == ORDERS.len()) => {}
            }
        };
        let producer = &self.producer;
        consume(&consumer, producer, dead_letters, AT_A_TIME, stop, handle).await?;
        Ok(())
    }
}

/// The handler. Its span and the baggage are current across its awaits; whatever it spawns has to be given them.
async fn bill(billing: Arc<Billing>, order: Arc<Received<OwnedMessage>>) -> Result<()> {
    let id = order.payload_view::<str>().context("no payload")??;
    let (_, millis) = ORDERS
        .into_iter()
        .find(|(order, _)| *order == id)
        .context("unknown")?;
    println!("  billing: order {id} begins");

    // A future takes the current context along.
    let charge = charge_card(Arc::clone(&billing), millis).with_current_context();
    let charged = tokio::spawn(charge);

    // A closure attaches it, on the thread that it runs on.
    let context = Context::current();
    let tracer = billing.providers.tracer();
    let printed = spawn_blocking(move || {
        let _guard = context.attach();
        tracer.in_span("print invoice", |_| {});
    });

    charged.await??;
    printed.await?;
    println!("  billing: order {id} is done");
    billing.billed.send_modify(|billed| *billed += 1);
    Ok(())
}

async fn charge_card(billing: Arc<Billing>, millis: u64) -> Result<()> {
    let charge = async {
        sleep(Duration::from_millis(millis)).await;
        Ok(())
    };
    let providers = &billing.providers;
    let span = providers.in_span("charge card", SpanKind::Internal, charge);
    span.await
}

fn guide(cluster: &Cluster) -> String {
    let [orders, _] = &cluster.topics;
    format!(
        "\
How to read it: up to {AT_A_TIME} orders are handled at a time, each below its `send {orders}`. The first one took
longest, and nothing was committed before it was done with. `charge card` was done by a task, and `print invoice` by a
thread: they were given the context of the handler. Next, press Ctrl-C in the middle: what has begun is finished."
    )
}
