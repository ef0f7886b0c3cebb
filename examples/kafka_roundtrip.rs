//! An order goes from one service to another and back through Kafka, and its trace stays whole.
//!
//! ```text
//! cargo run --example kafka_roundtrip                                # embedded mock cluster
//! KAFKA_BROKERS=localhost:9092 cargo run --example kafka_roundtrip   # a cluster of yours
//! ```
//!
//! `shop` sends orders, `billing` charges the card and reports the payment, `shop` confirms. Both
//! run in this process, but each has telemetry and clients of its own, as two programs would.
//!
//! With `OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` set, the spans go
//! there too, over OTLP/HTTP. If the export fails, a line is printed; the exit code is that of the messages.

use std::env;
use std::io::{self, IsTerminal as _};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, anyhow};
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{
    SpanKind, Status, TraceContextExt as _, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use otel_messaging::testing::TraceTree;
use otel_messaging::{Telemetry, kafka};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{CommitMode, Consumer as _, StreamConsumer};
use rdkafka::message::Message as _;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{DefaultProducerContext, FutureProducer, FutureRecord, Producer as _};
use tokio::time::error::Elapsed;
use tokio::time::{sleep, timeout};

const ORDERS: [&str; 2] = ["order 1", "order 2"];
const TIMEOUT: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<()> {
    let cluster = Cluster::from_env().await?;
    let shop = Service::start("shop", &cluster)?;
    let billing = Service::start("billing", &cluster)?;

    let ended = tokio::select! {
        ended = async { tokio::try_join!(
            take_orders(&shop, &cluster),
            bill_orders(&billing, &cluster),
            confirm_orders(&shop, &cluster),
        ) } => ended.map(|_| GUIDE),
        _ = tokio::signal::ctrl_c() => Ok("Interrupted."),
        () = sleep(6 * TIMEOUT) => Err(anyhow!("orders not confirmed after {:?}", 6 * TIMEOUT)),
    };

    // A send span ends with its delivery report: the producers come first, then the spans.
    let shop_flushed = shop.producer.flush(TIMEOUT);
    let billing_flushed = billing.producer.flush(TIMEOUT);
    let tree = TraceTree::new()
        .service(shop.name, shop.recorded.get_finished_spans()?)
        .service(billing.name, billing.recorded.get_finished_spans()?)
        .color(io::stdout().is_terminal() && variable("NO_COLOR").is_none());
    println!("\n{tree}\n");
    let cleaned_up = cluster.clean_up().await;
    export_rest(&[shop.provider, billing.provider]);
    println!("{}", ended?);
    shop_flushed.and(billing_flushed)?;
    cleaned_up
}

async fn take_orders(shop: &Service, cluster: &Cluster) -> Result<()> {
    // Baggage travels with each message that is sent while it is current.
    let tenant = Context::new().with_baggage([KeyValue::new("tenant", "acme")]);
    for order in ORDERS {
        let send = shop.send(&cluster.orders, order);
        let request = shop.in_span("POST /orders", SpanKind::Server, send);
        request.with_context(tenant.clone()).await?;
    }
    Ok(())
}

async fn bill_orders(billing: &Service, cluster: &Cluster) -> Result<()> {
    let consumer = cluster.consumer(billing, &cluster.orders)?;
    // A real service would loop for ever.
    for _ in ORDERS {
        let order = consumer.recv().await?;
        let mut attempt = 1;
        // Each attempt is a process span of its own.
        while let Err(error) = order
            .process(async |order| -> Result<()> {
                let id = order.payload_view::<str>().context("no payload")??;
                charge_card(billing, id, attempt).await?;
                billing.send(&cluster.payments, id).await
            })
            .await
        {
            if attempt == 3 {
                return Err(error);
            }
            println!("  billing: {error}, trying again");
            attempt += 1;
        }
        consumer.commit_message(&order, CommitMode::Async)?;
    }
    Ok(())
}

/// Charges a card. The card network does not answer the first request for the last order.
async fn charge_card(billing: &Service, order: &str, attempt: u32) -> Result<()> {
    let stuck = attempt == 1 && ORDERS.last() == Some(&order);
    let answer = sleep(Duration::from_millis(if stuck { 1000 } else { 20 }));
    let charge = async {
        let context = Context::current();
        let tenant = context.baggage().get("tenant").context("no tenant")?;
        let attribute = KeyValue::new("tenant", tenant.clone());
        context.span().set_attribute(attribute);
        let answered = timeout(Duration::from_millis(50), answer).await;
        answered.context("card network timed out")?;
        println!("  billing: {order} charged to tenant {tenant}, known from the baggage");
        Ok(())
    };
    let span = billing.in_span("charge card", SpanKind::Internal, charge);
    span.await
}

async fn confirm_orders(shop: &Service, cluster: &Cluster) -> Result<()> {
    let consumer = cluster.consumer(shop, &cluster.payments)?;
    for _ in ORDERS {
        let payment = consumer.recv().await?;
        let confirm = shop.in_span("confirm order", SpanKind::Internal, async { Ok(()) });
        payment.process(async |_| confirm.await).await?;
        consumer.commit_message(&payment, CommitMode::Async)?;
    }
    Ok(())
}

/// What a program sets up once.
struct Service {
    name: &'static str,
    provider: SdkTracerProvider,
    recorded: InMemorySpanExporter,
    telemetry: Telemetry,
    producer: kafka::Producer,
}

impl Service {
    fn start(name: &'static str, cluster: &Cluster) -> Result<Self> {
        let recorded = InMemorySpanExporter::default();
        let mut provider = SdkTracerProvider::builder()
            .with_resource(Resource::builder().with_service_name(name).build())
            .with_simple_exporter(recorded.clone());
        if otlp_endpoint().is_some() {
            let exporter = SpanExporter::builder().with_http();
            let exporter = exporter.with_timeout(Duration::from_secs(2)).build()?;
            provider = provider.with_batch_exporter(exporter);
        }
        let provider = provider.build();
        let telemetry = Telemetry::new()
            .tracer_provider(provider.clone())
            // anyhow hides the types of errors; without this, all would be `anyhow::Error`.
            .error_classifier(|error| {
                let error = error.downcast_ref::<anyhow::Error>();
                let timed_out = error.is_some_and(|error| error.is::<Elapsed>());
                Some(if timed_out { "timeout" } else { "_OTHER" }.into())
            });
        Ok(Self {
            name,
            provider,
            recorded,
            producer: kafka::Producer::wrap(&telemetry, cluster.config.create::<FutureProducer>()?),
            telemetry,
        })
    }

    async fn send(&self, topic: &str, order: &str) -> Result<()> {
        let record = FutureRecord::to(topic).key(order).payload(order);
        let delivered = self.producer.send(record, TIMEOUT).await;
        delivered.map(|_| ()).map_err(|(error, _)| error.into())
    }

    /// Does `work` in a span of the application's own.
    async fn in_span<F>(&self, name: &'static str, kind: SpanKind, work: F) -> Result<()>
    where
        F: Future<Output = Result<()>>,
    {
        let tracer = self.provider.tracer(self.name);
        let span = tracer.span_builder(name).with_kind(kind).start(&tracer);
        let context = Context::current_with_span(span);
        let result = work.with_context(context.clone()).await;
        if let Err(error) = &result {
            context.span().set_status(Status::error(error.to_string()));
        }
        result
    }
}

/// If a collector fails or hangs, that costs some seconds and a line, but not the exit code.
fn export_rest(providers: &[SdkTracerProvider]) {
    let mut problem = None;
    for provider in providers {
        // Only a flush tells how the export went.
        problem = provider.force_flush().err().or(problem);
        let _ = provider.shutdown();
    }
    match (otlp_endpoint(), problem) {
        (None, _) => {}
        (Some(url), None) => println!("Spans exported to {url}."),
        (Some(url), Some(error)) => println!("Spans not exported to {url} (OTLP/HTTP): {error}."),
    }
}

/// Where the messages go.
struct Cluster {
    config: ClientConfig,
    orders: String,
    payments: String,
    embedded: Option<MockCluster<'static, DefaultProducerContext>>,
}

impl Cluster {
    async fn from_env() -> Result<Self> {
        let Some(brokers) = variable("KAFKA_BROKERS") else {
            println!("Kafka: embedded mock cluster, in this process");
            let mock = MockCluster::new(1)?;
            let mut cluster = Self::at(&mock.bootstrap_servers(), "");
            // With its defaults, it takes 3 s to form a group and up to 0.5 s to pass a message on.
            cluster
                .config
                .set("group.protocol", "consumer")
                .set("fetch.wait.max.ms", "10");
            mock.create_topic(&cluster.orders, 1, 1)?;
            mock.create_topic(&cluster.payments, 1, 1)?;
            cluster.embedded = Some(mock);
            return Ok(cluster);
        };
        println!("Kafka: {brokers}");
        // Topics and groups of this run's own, so that it meets nobody else's messages.
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let cluster = Self::at(&brokers, &format!("-{:x}", now.subsec_micros()));
        let topics = [&cluster.orders, &cluster.payments]
            .map(|topic| NewTopic::new(topic, 1, TopicReplication::Fixed(-1)));
        let (admin, options) = cluster.admin()?;
        let created = admin.create_topics(&topics, &options).await;
        for topic in created.context(format!("no Kafka cluster answers at {brokers}. {CHECK}"))? {
            topic.map_err(|(topic, error)| anyhow!("cannot create topic {topic}: {error}"))?;
        }
        Ok(cluster)
    }

    fn at(brokers: &str, suffix: &str) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers);
        Self {
            config,
            orders: format!("orders{suffix}"),
            payments: format!("payments{suffix}"),
            embedded: None,
        }
    }

    fn admin(&self) -> Result<(AdminClient<DefaultClientContext>, AdminOptions)> {
        let options = AdminOptions::new().request_timeout(Some(TIMEOUT));
        Ok((self.config.create()?, options))
    }

    fn consumer(&self, service: &Service, topic: &str) -> Result<kafka::Consumer> {
        let mut config = self.config.clone();
        config
            .set("group.id", format!("{}-of-{topic}", service.name))
            .set("auto.offset.reset", "earliest")
            .set("enable.auto.commit", "false");
        let consumer: StreamConsumer = config.create()?;
        let consumer = kafka::Consumer::wrap(&service.telemetry, consumer);
        consumer.subscribe(&[topic])?;
        Ok(consumer)
    }

    /// Leaves a real cluster as it was.
    async fn clean_up(&self) -> Result<()> {
        if self.embedded.is_some() {
            return Ok(());
        }
        let (admin, options) = self.admin()?;
        let groups = [
            &*format!("billing-of-{}", self.orders),
            &*format!("shop-of-{}", self.payments),
        ];
        // One that nobody joined is not there; that is no problem.
        let _ = admin.delete_groups(&groups, &options).await;
        let deleted = admin.delete_topics(&[&self.orders, &self.payments], &options);
        for topic in deleted.await? {
            topic.map_err(|(topic, error)| anyhow!("cannot delete topic {topic}: {error}"))?;
        }
        Ok(())
    }
}

fn otlp_endpoint() -> Option<String> {
    let of_traces = variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
    of_traces.or_else(|| variable("OTEL_EXPORTER_OTLP_ENDPOINT"))
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

const CHECK: &str = "Is KAFKA_BROKERS right? Is the cluster running? \
    Can its clients reach the address that it tells them (advertised.listeners)?";

const GUIDE: &str = "\
How to read it: each `process orders` of billing stands below the `send orders` of shop whose
message it handles, in one trace, and links to it (⇠). The last order was processed twice, for the
first attempt failed. Next, try KAFKA_BROKERS=localhost:9092 (a real cluster) or
OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 (the same spans in Jaeger or another backend).";
