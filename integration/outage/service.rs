//! A service over a broker: its messages, and the spans of them.

use std::ops::Range;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream;
use integration::amqp::Rabbit;
use integration::kafka::Kafka;
use integration::nats::broker::{Core, JetStream};
use integration::{Broker, Message};
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanKind, Tracer as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SdkTracer, Span};
use otel_messaging::Received;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::exporting::Exporting;

/// Longest that any number of messages may take that should take a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// A broker whose messages can be done with: what is not acknowledged comes again.
pub(crate) trait Acknowledged: Broker {
    /// Acknowledges a message by the bare client, where receiving it has not.
    async fn done(received: &Received<Self::Message>);
}

impl Acknowledged for Kafka {
    async fn done(_: &Received<Self::Message>) {}
}

impl Acknowledged for Rabbit {
    async fn done(_: &Received<Self::Message>) {}
}

impl Acknowledged for Core {
    async fn done(_: &Received<Self::Message>) {}
}

impl Acknowledged for JetStream {
    async fn done(received: &Received<Self::Message>) {
        let message: &async_nats::jetstream::Message = received;
        message.ack().await.expect("an acknowledgement");
    }
}

/// Who makes the two spans of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Spans {
    /// The wrapped clients.
    Ours,
    /// The test, by the SDK alone: what an outage costs then is not ours.
    ByHand,
}

/// Wrapped clients of a service, and where its messages go.
pub(crate) struct Service<B> {
    broker: B,
    by_hand: Option<SdkTracer>,
    orders: String,
    /// How many messages are on their way to the broker at a time.
    in_flight: usize,
    sent: usize,
}

impl<B: Acknowledged> Service<B> {
    pub(crate) async fn start(exporting: &Exporting, spans: Spans, in_flight: usize) -> Self {
        let broker = B::connect(&exporting.telemetry()).await;
        let orders = broker.declare("orders").await;
        let mut service = Self {
            broker,
            by_hand: match spans {
                Spans::Ours => None,
                Spans::ByHand => Some(exporting.tracer()),
            },
            orders,
            in_flight,
            sent: 0,
        };
        // Connections and groups are there when it is measured.
        let (received, _) = watch::channel(0);
        service.run(1, &received).await;
        service
    }

    /// Sends so many messages and processes each; asserts that each comes once, in the order in which it was sent, and
    /// says how long it took.
    pub(crate) async fn run(&mut self, count: usize, received: &watch::Sender<usize>) -> Duration {
        let numbers = self.sent..self.sent + count;
        self.sent += count;
        let started = Instant::now();
        let exchanging = async {
            let sending = self.send(numbers.clone());
            let receiving = self.receive(count, received);
            futures::join!(sending, receiving).1
        };
        let context = match self.by_hand {
            Some(_) => Context::new().with_telemetry_suppressed(),
            None => Context::current(),
        };
        let came = timeout(PATIENCE, exchanging.with_context(context)).await;
        let took = started.elapsed();
        assert_eq!(came.expect("nothing waits"), numbers.collect::<Vec<_>>());
        took
    }

    async fn send(&self, numbers: Range<usize>) {
        let sending = stream::iter(numbers).map(async |number| {
            let message = Message {
                headers: vec![(b"number".to_vec(), Some(number.to_string().into_bytes()))],
                ..Message::new("order")
            };
            let _span = self.span("send", SpanKind::Producer);
            self.broker.send(&self.orders, &message).await;
        });
        let sent = sending.buffered(self.in_flight);
        sent.for_each(async |()| ()).await;
    }

    async fn receive(&self, count: usize, so_far: &watch::Sender<usize>) -> Vec<usize> {
        let mut came = Vec::with_capacity(count);
        for _ in 0..count {
            let received = self.broker.receive(&self.orders).await;
            let headers = self.broker.headers(&received);
            let number = headers.into_iter().find(|(name, _)| name == b"number");
            let number = number.and_then(|(_, value)| String::from_utf8(value?).ok());
            let number = number.and_then(|number| number.parse().ok());
            let span = self.span("process", SpanKind::Consumer);
            received.process(async |_| ()).await;
            drop(span);
            B::done(&received).await;
            came.push(number.expect("a number"));
            so_far.send_replace(came.len());
        }
        came
    }

    /// One that is written by hand, and ends where it is dropped.
    fn span(&self, operation: &'static str, kind: SpanKind) -> Option<Span> {
        let tracer = self.by_hand.as_ref()?;
        let builder = tracer
            .span_builder(format!("{operation} {}", self.orders))
            .with_kind(kind)
            .with_attributes([
                KeyValue::new("messaging.destination.name", self.orders.clone()),
                KeyValue::new("messaging.operation.name", operation),
            ]);
        // The current one keeps the clients from making spans too.
        Some(builder.start_with_context(tracer, &Context::new()))
    }
}
