//! What is active where a message is processed, and what that has to do with it.

use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanContext, TraceContextExt as _, Tracer as _, TracerProvider as _};
use otel_messaging::policy::{Incoming, Parent, Policy, Rule};
use otel_messaging::testing::{ExpectedSpan, Recorder};
use otel_messaging::{Batch, Received};

use super::batches::{at, spans};
use super::{send_bare, tenant, upstream_headers, upstream_span};
use crate::Broker;

/// A span of the application, in a trace of its own.
fn opened(recorder: &Recorder, name: &'static str) -> Context {
    let tracer = recorder.tracer_provider().tracer("scenario");
    Context::new().with_span(tracer.start_with_context(name, &Context::new()))
}

fn identity(context: &Context) -> SpanContext {
    context.span().span_context().clone()
}

/// Orders from a service before ours, and whoever handles them.
struct Orders<B: Broker> {
    recorder: Recorder,
    broker: B,
    name: String,
}

impl<B: Broker> Orders<B> {
    async fn with(rule: Rule) -> Self {
        let recorder = Recorder::new();
        let telemetry = recorder.telemetry().policy(Policy::new().rule(rule));
        let broker = B::connect(&telemetry).await;
        let name = broker.declare("orders").await;
        Self {
            recorder,
            broker,
            name,
        }
    }

    async fn one(&self) -> Received<B::Message> {
        send_bare(&self.broker, &self.name, upstream_headers()).await;
        self.broker.receive(&self.name).await
    }

    async fn processed(&self, order: &Received<B::Message>) {
        order
            .process(async |_| assert_eq!(tenant().as_deref(), Some("blue sky")))
            .await;
    }

    fn expected(&self, order: &Received<B::Message>) -> ExpectedSpan {
        self.broker.process_span(&self.name, order)
    }

    /// The only process span since the last time, which is then forgotten.
    fn assert(&self, expected: &ExpectedSpan) {
        let name = self.broker.process_name(&self.name);
        expected.assert(&self.recorder.span(&name));
        self.recorder.clear();
    }

    /// Asserts that a message's own trace went on, with a link to the span that was active.
    fn assert_continued(&self, order: &Received<B::Message>, beside: &Context) {
        let expected = self.expected(order).child_of(&upstream_span());
        let expected = expected.link(&upstream_span()).link(&identity(beside));
        self.assert(&expected);
    }
}

fn orders() -> Rule {
    Rule::of("orders*")
}

/// A span around a loop, around each of its rounds or of a request that asks for a message is about
/// none of the messages: each goes on in its own trace and links to that span.
pub async fn a_span_that_was_active_before_a_message_came_is_linked_and_cuts_no_trace<B: Broker>() {
    let orders = Orders::<B>::with(orders()).await;
    let looping = opened(&orders.recorder, "consume");

    let in_the_loop = async {
        for _ in 0..3 {
            let order = orders.one().await;
            orders.processed(&order).await;
            orders.assert_continued(&order, &looping);
        }
    };
    in_the_loop.with_context(looping.clone()).await;
    for name in ["consume_one", "GET /orders/next"] {
        let round = opened(&orders.recorder, name);
        let once = async {
            let order = orders.one().await;
            orders.processed(&order).await;
            order
        };
        let order = once.with_context(round.clone()).await;
        orders.assert_continued(&order, &round);
    }
}

/// The guard is for the same spans as the closure.
pub async fn a_guard_in_a_loop_continues_the_trace_of_its_message_too<B: Broker>() {
    let orders = Orders::<B>::with(orders()).await;
    let looping = opened(&orders.recorder, "consume");

    let in_the_loop = async {
        let order = orders.one().await;
        order.start_process_span().end(&());
        order
    };
    let order = in_the_loop.with_context(looping.clone()).await;

    orders.assert_continued(&order, &looping);
}

/// A span that was opened for the message is its parent, in a loop with a span of its own too.
pub async fn a_span_that_was_opened_since_is_the_parent<B: Broker>() {
    let orders = Orders::<B>::with(orders()).await;
    let looping = opened(&orders.recorder, "consume");
    let tracer = orders.recorder.tracer_provider().tracer("scenario");

    for _ in 0..2 {
        let order = orders.one().with_context(looping.clone()).await;
        let opened = tracer.start_with_context("handle order", &looping);
        let opened = Context::new().with_span(opened);
        for _ in 0..2 {
            let processed = orders.processed(&order);
            processed.with_context(opened.clone()).await;
            let expected = orders.expected(&order).child_of(&identity(&opened));
            orders.assert(&expected.link(&upstream_span()));
        }
    }
}

/// A worker that is given messages by another task is known once it is met.
///
/// So is the loop around a function that receives within a span of its own. Only their first message
/// can pass for one that the span was opened for.
pub async fn a_workers_span_is_known_from_its_second_message_on<B: Broker>() {
    let orders = Orders::<B>::with(orders()).await;
    let worker = opened(&orders.recorder, "worker");

    for number in 0..3 {
        let receiving = opened(&orders.recorder, "next");
        let order = orders.one().with_context(receiving).await;
        let processed = orders.processed(&order);
        processed.with_context(worker.clone()).await;
        if number == 0 {
            let expected = orders.expected(&order).child_of(&identity(&worker));
            orders.assert(&expected.link(&upstream_span()));
        } else {
            orders.assert_continued(&order, &worker);
        }
    }
}

/// In a task of its own a message is in its own trace, whether the task was given the loop's context
/// or none.
pub async fn a_task_for_each_message_continues_its_trace<B: Broker>()
where
    B::Message: Send + Sync + 'static,
    Received<B::Message>: Send + Sync,
{
    let orders = Orders::<B>::with(orders()).await;
    let looping = opened(&orders.recorder, "consume");
    let expected = |order: &Received<B::Message>| {
        let expected = orders.expected(order).child_of(&upstream_span());
        expected.link(&upstream_span())
    };

    let order = orders.one().with_context(looping.clone()).await;
    let without = expected(&order);
    let task = async move { order.process(async |_| ()).await };
    tokio::spawn(task).await.expect("no panic");
    orders.assert(&without);

    let order = orders.one().with_context(looping.clone()).await;
    let within = expected(&order).link(&identity(&looping));
    let task = async move { order.process(async |_| ()).await };
    let task = task.with_context(looping.clone());
    tokio::spawn(task).await.expect("no panic");
    orders.assert(&within);
}

/// An empty context that is given explicitly is an empty context, not the one of the call.
pub async fn an_empty_context_is_an_empty_context<B: Broker>() {
    let orders = Orders::<B>::with(orders()).await;
    let looping = opened(&orders.recorder, "consume");

    let in_the_loop = async {
        let order = orders.one().await;
        // Called in the loop, polled in the empty context.
        let processed = order.process(async |_| ());
        processed.with_context(Context::new()).await;
        order
    };
    let order = in_the_loop.with_context(looping).await;

    let expected = orders.expected(&order).child_of(&upstream_span());
    orders.assert(&expected.link(&upstream_span()));
}

/// What is not continued starts a trace of its own in a loop, which links to the loop's span.
pub async fn in_a_loop_a_context_that_is_not_continued_starts_a_new_trace<B: Broker>() {
    for incoming in [Incoming::LinkOnly, Incoming::Restart, Incoming::Ignore] {
        let orders = Orders::<B>::with(orders().incoming(incoming)).await;
        let looping = opened(&orders.recorder, "consume");

        let in_the_loop = async {
            let order = orders.one().await;
            order.process(async |_| ()).await;
            order
        };
        let order = in_the_loop.with_context(looping.clone()).await;

        let expected = match incoming {
            Incoming::Ignore => orders.expected(&order),
            _ => orders.expected(&order).link(&upstream_span()),
        };
        orders.assert(&expected.link(&identity(&looping)));
    }
}

/// A message without a context belongs to no trace, that of a loop neither.
pub async fn in_a_loop_a_message_without_a_context_is_a_trace_of_its_own<B: Broker>() {
    let orders = Orders::<B>::with(orders()).await;
    let looping = opened(&orders.recorder, "consume");

    let in_the_loop = async {
        send_bare(&orders.broker, &orders.name, Vec::new()).await;
        let order = orders.broker.receive(&orders.name).await;
        order.process(async |_| ()).await;
        order
    };
    let order = in_the_loop.with_context(looping.clone()).await;

    orders.assert(&orders.expected(&order).link(&identity(&looping)));
}

/// Where a span may have one link, and the message asks for none, that is for the loop's span.
pub async fn in_a_loop_the_only_link_is_to_the_loop_if_the_message_has_none<B: Broker>() {
    let recorder = Recorder::new();
    let broker = B::connect(&recorder.telemetry().max_links(1)).await;
    let orders = broker.declare("orders").await;
    let looping = opened(&recorder, "consume");

    let in_the_loop = async {
        send_bare(&broker, &orders, Vec::new()).await;
        let order = broker.receive(&orders).await;
        order.process(async |_| ()).await;
        order
    };
    let order = in_the_loop.with_context(looping.clone()).await;

    broker
        .process_span(&orders, &order)
        .link(&identity(&looping))
        .assert(&recorder.span(&broker.process_name(&orders)));
}

/// A policy sets the parent otherwise, for single messages and for batches.
pub async fn a_policy_chooses_the_parent<B: Broker>() {
    for choice in [Parent::Message, Parent::Ambient, Parent::Root] {
        let orders = Orders::<B>::with(orders().parent(choice)).await;
        let before = opened(&orders.recorder, "consume");
        let order = orders.one().with_context(before.clone()).await;
        let since = opened(&orders.recorder, "handle order");

        for active in [&before, &since] {
            let processed = orders.processed(&order);
            processed.with_context(active.clone()).await;
            let expected = orders.expected(&order);
            let active = identity(active);
            let expected = match choice {
                Parent::Message => expected.child_of(&upstream_span()),
                Parent::Ambient => expected.child_of(&active),
                _ => expected,
            };
            let expected = expected.link(&upstream_span());
            orders.assert(&match choice {
                Parent::Ambient => expected,
                _ => expected.link(&active),
            });
        }
        orders.processed(&order).await;
        let expected = match choice {
            Parent::Root => orders.expected(&order),
            _ => orders.expected(&order).child_of(&upstream_span()),
        };
        orders.assert(&expected.link(&upstream_span()));

        let batch = Batch::from(vec![order]);
        let processed = batch.process(async |_| ());
        processed.with_context(since.clone()).await;
        let (orders, since) = (&orders, identity(&since));
        let expected = match choice {
            Parent::Ambient => of_one(orders, &batch).child_of(&since),
            _ => of_one(orders, &batch),
        };
        let expected = expected.link(&upstream_span());
        orders.assert(&match choice {
            Parent::Ambient => expected,
            _ => expected.link(&since),
        });
    }
}

/// So it does for the messages of a batch, which link to it in any case.
pub async fn a_policy_chooses_the_parent_in_a_batch_too<B: Broker>() {
    for choice in [Parent::Message, Parent::Ambient, Parent::Root] {
        let orders = Orders::<B>::with(orders().parent(choice)).await;
        send_bare(&orders.broker, &orders.name, Vec::new()).await;
        let without_context = orders.broker.receive(&orders.name).await;
        let batch = Batch::from(vec![orders.one().await, without_context]);

        batch
            .process(async |batch| {
                for order in batch {
                    order.process(async |_| ()).await;
                }
            })
            .await;

        let [of_upstream, of_none, whole] = &spans(&orders.recorder);
        let expected = |number| {
            let expected = orders.expected(at(&batch, number));
            match (choice, number) {
                (Parent::Ambient, _) => expected.child_of(&whole.span_context),
                (Parent::Message, 0) => expected.child_of(&upstream_span()),
                _ => expected,
            }
        };
        expected(0)
            .link(&upstream_span())
            .link(&whole.span_context)
            .assert(of_upstream);
        expected(1).link(&whole.span_context).assert(of_none);
    }
}

/// The span of a batch of one.
fn of_one<B: Broker>(orders: &Orders<B>, batch: &Batch<B::Message>) -> ExpectedSpan {
    let order = at(batch, 0);
    let mut expected = orders
        .broker
        .in_common(orders.broker.batch_span(&orders.name, 1), order);
    for one in orders.broker.on_link(order) {
        expected = expected.attribute(one.key, one.value);
    }
    expected
}

/// A batch in a loop is a trace of its own that links to the loop's span; one that a span was opened
/// for belongs to that.
pub async fn a_batch_in_a_loop_is_a_root_and_links_to_the_loop<B: Broker>() {
    let orders = Orders::<B>::with(orders()).await;
    let looping = opened(&orders.recorder, "consume");

    let in_the_loop = async {
        let batch = Batch::from(vec![orders.one().await]);
        batch.process(async |_| ()).await;
        batch
    };
    let batch = in_the_loop.with_context(looping.clone()).await;
    let expected = of_one(&orders, &batch).link(&upstream_span());
    orders.assert(&expected.link(&identity(&looping)));

    let since = opened(&orders.recorder, "handle orders");
    let processed = batch.process(async |_| ());
    processed.with_context(since.clone()).await;
    let expected = of_one(&orders, &batch).child_of(&identity(&since));
    orders.assert(&expected.link(&upstream_span()));
}
