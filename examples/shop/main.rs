//! A shop of four services over three brokers, each of them a process of its own, and an order that is one trace through
//! all of them.
//!
//! ```text
//! cargo run --features shop --example shop                                            # until Ctrl-C
//! cargo run --features shop --example shop -- --load 100 --failing 5 --slow 2         # makes orders itself, and ends
//! cargo run --features shop --example shop -- billing                                 # one service, by hand
//! ```
//!
//! `orders` takes orders over HTTP and sends them to Kafka. `billing` takes them from there in batches, and publishes
//! each to RabbitMQ in the trace of its request. `shipping` handles it, and asks `stock` over NATS.
//!
//! Given the name of a service, this program is that service. Without, it starts all four and stops them (`parent/`). The
//! brokers are those that `KAFKA_BROKERS`, `AMQP_URL` and `NATS_URL` name; when it starts all four, a broker that is not named
//! is started with `docker compose up --wait`. With `OTEL_EXPORTER_OTLP_ENDPOINT` set, spans, metrics and log records go there
//! over OTLP/HTTP.
//!
//! | option | what it does |
//! |---|---|
//! | `--load N` | makes N orders, waits until all are done with, stops and tells how it went |
//! | `--failing F`, `--slow S` | F of these have an address that nobody knows, S take over a second |
//! | `--listen ADDRESS` | where orders are taken; unset, at a free port of 127.0.0.1 |
//! | `--suffix TEXT` | ends the names of topics, queues and subjects: `shop.orders-TEXT`. What was made under such names is deleted at the end, where all four were started together |

mod arguments;
mod billing;
mod counts;
mod names;
mod order;
mod orders;
mod parent;
mod report;
mod service;
mod shipping;
mod span;
mod stock;
mod telemetry;

use std::env;

use anyhow::Result;

use self::arguments::{Arguments, Role};
use self::service::Service;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse(env::args().skip(1))?;
    let Some(role) = arguments.role else {
        return Box::pin(parent::run(&arguments)).await;
    };
    let service = Service::start(role, arguments).await?;
    match role {
        Role::Orders => Box::pin(orders::run(service)).await,
        Role::Billing => Box::pin(billing::run(service)).await,
        Role::Shipping => Box::pin(shipping::run(service)).await,
        Role::Stock => Box::pin(stock::run(service)).await,
    }
}
