//! A request becomes a message, in one trace: from the caller, through a server of axum and Kafka, to the worker.
//!
//! ```text
//! cargo run --features http --example http                # makes its requests itself
//! cargo run --features http --example http -- --serve     # takes yours at 127.0.0.1:3000, until Ctrl-C
//! ```
//!
//! The request span is from `opentelemetry-instrumentation-tower`: a child of the `traceparent` in the headers of the
//! request, and current in its handler. It looks for the global providers and the global propagator, which have to be set
//! (`Providers::make_global` in `telemetry/mod.rs`). The worker's loop is `kafka/concurrent.rs`. When it stops, each part
//! ends in the order of `stop/in_order.rs`: requests that are there are answered, and what they send is billed and shown.
//! Kafka is the embedded mock cluster, unless `KAFKA_BROKERS` names a real one.

use std::env;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use examples::kafka::concurrent::{InFlight, consume};
use examples::stop::{Stop, in_order};
use examples::telemetry::{self, Providers};
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::SpanKind;
use opentelemetry_http::HeaderInjector;
use opentelemetry_instrumentation_tower::http::server::Layer;
use otel_messaging::w3c::Propagator;
use otel_messaging::{Received, kafka};
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::message::{Message as _, OwnedMessage};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use reqwest::header::HeaderMap;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

type Cluster = examples::kafka::Cluster<2>;

const TIMEOUT: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<()> {
    let stop = Stop::on_ctrl_c().await;
    let mut arguments = env::args().skip(1);
    let is_serving = arguments.next().as_deref() == Some("--serve");
    let address = match is_serving {
        true => arguments
            .next()
            .unwrap_or_else(|| "127.0.0.1:3000".to_owned()),
        false => "127.0.0.1:0".to_owned(),
    };
    let cluster = Cluster::from_env(["orders", "dead-letters"]).await?;
    let browser = Providers::new("browser")?;
    let shop = Arc::new(Shop::open(&cluster)?);

    let app = Router::new()
        .route("/orders", post(take_order))
        // Outside of the routes, so that it knows which one it is.
        .layer(Layer::new())
        .with_state(Arc::clone(&shop));
    let listener = TcpListener::bind(&address).await.context(address)?;
    let at = listener.local_addr()?;
    println!("Orders are taken: curl --data 'two books' http://{at}/orders");

    let serve = async {
        let stop = stop.clone();
        let asked = async move { stop.asked().await };
        let served = axum::serve(listener, app).with_graceful_shutdown(asked);
        Ok(served.await?)
    };
    let work = async |stop: &Stop| shop.work(&cluster, stop).await;
    let close = async || {
        let flushed = shop.producer.flush(TIMEOUT);
        let tree = telemetry::tree(&[&browser, &shop.providers])?;
        println!("\n{tree}\n");
        cluster.clean_up(&["billing"]).await?;
        Ok(flushed?)
    };
    let shut_down = || telemetry::shut_down(&[&browser, &shop.providers]);
    let running = in_order(&stop, serve, work, close, shut_down);
    let ordering = async {
        if !is_serving {
            let ordered = tokio::select! {
                // First: a server that stops refuses what is not a request yet.
                biased;
                () = stop.asked() => return Ok(()),
                ordered = timeout(2 * TIMEOUT, order(&browser, at)) => ordered,
            };
            stop.ask();
            ordered.context("the shop does not answer in time")??;
        }
        anyhow::Ok(())
    };
    // They are large, and boxed are not kept a second time.
    let (ended, ordered) = Box::pin(async { tokio::join!(running, ordering) }).await;
    println!("{}", stop.last_words(guide(&cluster)));
    ended.and(ordered)
}

/// What makes the requests.
async fn order(browser: &Providers, at: SocketAddr) -> Result<()> {
    for order in ["two books", "a lamp"] {
        let request = async {
            let mut headers = HeaderMap::new();
            Propagator::new().inject(&mut HeaderInjector(&mut headers));
            let request = reqwest::Client::new().post(format!("http://{at}/orders"));
            let answer = request.headers(headers).body(order).send().await?;
            answer.error_for_status()?;
            Ok(())
        };
        browser.in_span("POST", SpanKind::Client, request).await?;
    }
    Ok(())
}

/// The handler of a request. What it sends is in the trace of the request.
async fn take_order(State(shop): State<Arc<Shop>>, order: String) -> StatusCode {
    let record = FutureRecord::to(&shop.orders).key("42").payload(&order);
    match shop.producer.send(record, TIMEOUT).await {
        Ok(_) => {
            shop.open_orders.send_modify(|open| *open += 1);
            StatusCode::ACCEPTED
        }
        Err((error, _)) => {
            eprintln!("{error}");
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}

struct Shop {
    providers: Providers,
    producer: kafka::Producer,
    orders: String,
    /// How many are not billed yet. Less than 0 where one is billed before its request knows that it was sent.
    open_orders: watch::Sender<i32>,
}

impl Shop {
    fn open(cluster: &Cluster) -> Result<Self> {
        let providers = Providers::new("shop")?;
        providers.make_global();
        let [orders, _] = cluster.topics.clone();
        let producer: FutureProducer = cluster.client("shop").create()?;
        Ok(Self {
            producer: kafka::Producer::wrap(&providers.telemetry(), producer),
            providers,
            orders,
            open_orders: watch::Sender::default(),
        })
    }

    async fn work(self: &Arc<Self>, cluster: &Cluster, stop: &Stop) -> Result<()> {
        let client = cluster
            .consumer("billing")
            .create_with_context(InFlight::default());
        let client: StreamConsumer<InFlight> = client?;
        let consumer = kafka::Consumer::wrap(&self.providers.telemetry(), client);
        consumer.subscribe(&[&self.orders])?;
        let [_, dead_letters] = &cluster.topics;
        let shop = Arc::clone(self);
        let bill = move |order| bill(Arc::clone(&shop), order);
        let stop = async {
            stop.asked().await;
            // What is not billed now the next one would bill, but the topic of this run has none.
            let mut open_orders = self.open_orders.subscribe();
            let _ = timeout(TIMEOUT, open_orders.wait_for(|open| *open <= 0)).await;
        };
        consume(&consumer, &self.producer, dead_letters, 4, stop, bill).await?;
        Ok(())
    }
}

/// The handler of a message.
async fn bill(shop: Arc<Shop>, order: Arc<Received<OwnedMessage>>) -> Result<()> {
    let order = order.payload_view::<str>().context("no payload")??;
    let charge = async {
        sleep(Duration::from_millis(20)).await;
        println!("  billing: {order}");
        Ok(())
    };
    let charge = shop
        .providers
        .in_span("charge card", SpanKind::Internal, charge);
    charge.await?;
    shop.open_orders.send_modify(|open| *open -= 1);
    Ok(())
}

fn guide(cluster: &Cluster) -> String {
    let [orders, _] = &cluster.topics;
    format!(
        "\
How to read it: `POST /orders` of the shop stands below the request that browser has made: its headers have the
traceparent of that. The order that it sends is below it, with `process {orders}` of the worker. Next, try --serve,
and press Ctrl-C while a request is on its way."
    )
}
