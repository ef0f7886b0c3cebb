//! `orders` takes orders over HTTP, and sends them to Kafka.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use examples::stop::{Stop, in_order};
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::{Context, KeyValue};
use opentelemetry_instrumentation_tower::http::server::Layer;
use otel_messaging::kafka;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use tokio::net::TcpListener;
use tracing::{error, info};

use crate::names;
use crate::order::{Order, Taken, Wish};
use crate::report::Report;
use crate::service::Service;

const TIMEOUT: Duration = Duration::from_secs(10);

struct Orders {
    producer: kafka::Producer,
    topic: String,
}

pub(crate) async fn run(service: Service) -> Result<()> {
    let cluster = names::cluster(&service.arguments.suffix).await?;
    let producer: FutureProducer = cluster.client("orders").create()?;
    let [topic] = cluster.topics;
    let orders = Arc::new(Orders {
        producer: kafka::Producer::wrap(&service.telemetry, producer),
        topic,
    });
    let app = Router::new()
        .route("/orders", post(take_order))
        // Outside of the routes, so that it knows which one it is.
        .layer(Layer::new())
        .with_state(Arc::clone(&orders));
    let address = service.arguments.listen.as_deref();
    let address = address.unwrap_or("127.0.0.1:0");
    let listener = TcpListener::bind(address).await;
    let listener = listener.with_context(|| format!("cannot take orders at {address}"))?;
    let address = listener.local_addr()?.to_string();
    info!("orders are taken at http://{address}/orders");
    service.reports.tell(&Report::Ready {
        address: Some(address),
    });

    let stop = service.stop.clone();
    let serve = async {
        let asked = async move { stop.asked().await };
        let served = axum::serve(listener, app).with_graceful_shutdown(asked);
        Ok(served.await?)
    };
    // All that it does is in its requests.
    let work = async |stop: &Stop| {
        stop.asked().await;
        Ok(())
    };
    let close = async || Ok(orders.producer.flush(TIMEOUT)?);
    let shut_down = || service.shut_down();
    in_order(&service.stop, serve, work, close, shut_down).await
}

/// The handler of a request, in its span. What it sends is in the trace of the request.
async fn take_order(State(orders): State<Arc<Orders>>, wish: String) -> (StatusCode, String) {
    let wish: Wish = match serde_json::from_str(&wish) {
        Ok(wish) => wish,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("{error}\n")),
    };
    let order = Order::from(wish);
    let context = Context::current();
    let span = context.span();
    span.set_attribute(KeyValue::new("shop.order.kind", order.kind.name()));
    span.set_attribute(KeyValue::new("shop.order.id", order.id.clone()));
    match send(&orders, &order).await {
        Ok(()) => {
            info!(order = order.id, item = order.item, "order taken");
            let taken = Taken {
                order: order.id,
                trace: span.span_context().trace_id().to_string(),
                is_sampled: span.span_context().is_sampled(),
            };
            let taken = serde_json::to_string(&taken).unwrap_or_default();
            (StatusCode::ACCEPTED, taken + "\n")
        }
        Err(error) => {
            error!(order = order.id, "order not taken: {error:#}");
            (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n"))
        }
    }
}

async fn send(orders: &Orders, order: &Order) -> Result<()> {
    let body = order.body()?;
    let record = FutureRecord::to(&orders.topic)
        .key(&order.id)
        .payload(&body);
    let sent = orders.producer.send(record, TIMEOUT).await;
    sent.map_err(|(error, _)| error)?;
    Ok(())
}
