//! A program that records its `tracing` spans with OpenTelemetry, by the layer that most use.
//!
//! The subscriber is the process's own, so that these scenarios have a test program for themselves.

use std::env;
use std::sync::LazyLock;

use opentelemetry::trace::{SpanContext, SpanKind};
use opentelemetry_sdk::trace::SpanData;
use otel_messaging::testing::{ExpectedSpan, Recorder};
use otel_messaging::{Batch, Received};
use tracing::{Instrument as _, dispatcher, info_span, instrument};

use super::in_tracing::{Nothing, SetUp};
use super::{send_bare, upstream_headers, upstream_span};
use crate::{Broker, again_with};

/// What this process records: of our wrappers, and by way of `tracing`.
pub static RECORDER: LazyLock<Recorder> = LazyLock::new(|| {
    let recorder = Recorder::new();
    let set_up = env::var(SET_UP).ok();
    let set_up = set_up.and_then(|named| SetUp::OURS.into_iter().find(|one| one.name() == named));
    let set_up = set_up.unwrap_or(SetUp::of(false, true));
    let subscriber = set_up.subscriber(&recorder, Nothing);
    dispatcher::set_global_default(subscriber).expect("the first one");
    recorder
});

/// Names how the process is set up; unset, with the layer of tracing-opentelemetry alone.
const SET_UP: &str = "TRACING_SET_UP";

/// Runs these tests again in processes that are set up with what we have for `tracing`.
pub fn again_with_ours(tests: &[&str]) {
    for set_up in SetUp::OURS {
        for test in tests {
            again_with(test, SET_UP, set_up.name());
        }
    }
}

/// Orders from a service before ours, and a consumer as people write it.
struct Shop<B: Broker> {
    broker: B,
    orders: String,
}

impl<B: Broker> Shop<B> {
    async fn open() -> Self {
        let broker = B::connect(&RECORDER.telemetry()).await;
        let orders = broker.declare("orders").await;
        for _ in 0..3 {
            send_bare(&broker, &orders, upstream_headers()).await;
        }
        Self { broker, orders }
    }

    #[instrument(skip_all)]
    async fn consume(&self) -> Vec<Received<B::Message>> {
        let mut orders = Vec::new();
        for _ in 0..3 {
            let order = self.broker.receive(&self.orders).await;
            order.process(async |_| ()).await;
            orders.push(order);
        }
        orders
    }

    #[instrument(skip_all)]
    async fn consume_one(&self) -> Received<B::Message> {
        let order = self.broker.receive(&self.orders).await;
        order.process(async |_| ()).await;
        order
    }

    #[instrument(skip_all)]
    async fn consume_and_open_a_span_for_each(&self) -> Vec<Received<B::Message>> {
        let mut orders = Vec::new();
        for _ in 0..3 {
            let order = self.broker.receive(&self.orders).await;
            let handled = order.process(async |_| ());
            handled.instrument(info_span!("handle order")).await;
            orders.push(order);
        }
        orders
    }

    #[instrument(skip_all)]
    async fn consume_a_batch(&self) -> Batch<B::Message> {
        let mut orders = Vec::new();
        for _ in 0..3 {
            orders.push(self.broker.receive(&self.orders).await);
        }
        let batch = Batch::from(orders);
        batch.process(async |_| ()).await;
        batch
    }

    /// The process spans of these orders, in their order.
    fn processed(&self) -> Vec<SpanData> {
        let mut spans = RECORDER.spans();
        spans.retain(|span| span.name == self.broker.process_name(&self.orders));
        spans
    }

    fn expected(&self, order: &Received<B::Message>) -> ExpectedSpan {
        self.broker.process_span(&self.orders, order)
    }
}

/// The span of the application by this name that these spans are linked to, or belong to.
fn of_the_application(name: &str, related: impl Fn(&SpanContext) -> bool) -> SpanData {
    let spans = RECORDER.spans().into_iter();
    let mut spans = spans.filter(|span| span.name == name && related(&span.span_context));
    let found = spans.next().expect("a span of the application");
    assert_eq!(found.span_kind, SpanKind::Internal);
    found
}

fn is_linked(span: &SpanData) -> impl Fn(&SpanContext) -> bool {
    let linked = span.links.iter().map(|link| link.span_context.span_id());
    let linked: Vec<_> = linked.collect();
    move |context| linked.contains(&context.span_id())
}

/// `#[instrument]` on the function with the loop, or on one for each message, cuts no trace.
pub async fn an_instrumented_consumer_cuts_no_trace<B: Broker>() {
    let shop = Shop::<B>::open().await;
    let orders = shop.consume().await;
    let spans = shop.processed();
    assert_eq!(spans.len(), orders.len());
    for (order, span) in orders.iter().zip(&spans) {
        let looping = of_the_application("consume", is_linked(span));
        let expected = shop.expected(order).child_of(&upstream_span());
        let expected = expected.link(&upstream_span());
        expected.link(&looping.span_context).assert(span);
    }

    let shop = Shop::<B>::open().await;
    let order = shop.consume_one().await;
    let [span] = &shop.processed()[..] else {
        unreachable!("one order was processed");
    };
    let once = of_the_application("consume_one", is_linked(span));
    let expected = shop.expected(&order).child_of(&upstream_span());
    let expected = expected.link(&upstream_span());
    expected.link(&once.span_context).assert(span);
}

/// A span of `tracing` that was opened for a message is the parent.
pub async fn a_span_of_tracing_for_each_message_is_the_parent<B: Broker>() {
    let shop = Shop::<B>::open().await;
    let orders = shop.consume_and_open_a_span_for_each().await;
    let spans = shop.processed();
    assert_eq!(spans.len(), orders.len());
    for (order, span) in orders.iter().zip(&spans) {
        let is_parent = |context: &SpanContext| context.span_id() == span.parent_span_id;
        let own = of_the_application("handle order", is_parent);
        let expected = shop.expected(order).child_of(&own.span_context);
        expected.link(&upstream_span()).assert(span);
    }
}

/// A batch in an instrumented function is a trace of its own.
pub async fn a_batch_in_an_instrumented_function_is_a_root<B: Broker>() {
    let shop = Shop::<B>::open().await;
    let batch = shop.consume_a_batch().await;
    let [span] = &shop.processed()[..] else {
        unreachable!("one batch was processed");
    };
    let around = of_the_application("consume_a_batch", is_linked(span)).span_context;
    assert_ne!(span.span_context.trace_id(), around.trace_id());
    assert_ne!(span.span_context.trace_id(), upstream_span().trace_id());
    let linked = span.links.iter().map(|link| link.span_context.span_id());
    let mut expected = vec![upstream_span().span_id(); batch.len()];
    expected.push(around.span_id());
    assert_eq!(linked.collect::<Vec<_>>(), expected);
}
