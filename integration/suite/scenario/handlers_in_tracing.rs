//! Handlers in programs that record their `tracing` spans with OpenTelemetry.

use futures::{StreamExt as _, stream};
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanContext, SpanKind, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::SpanData;
use otel_messaging::testing::Recorder;
use otel_messaging::with_tracing::{ProcessSpans, Tracer};
use otel_messaging::{Batch, Received};
use tokio::runtime::Builder;
use tokio::task;
use tracing::instrument::WithSubscriber as _;
use tracing::{Dispatch, Instrument as _, Level, error, info_span, instrument};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;

use super::in_tracing::{NoOutcome, Nothing, Program, SetUp, inside};
use super::tenant;
use crate::{Broker, Message, whole};

#[instrument(skip_all)]
async fn store<B: Broker>(program: &Program<B>, orders: &str) -> B::Receipt {
    info_span!("look up").in_scope(|| ());
    task::yield_now().await;
    program.broker.send(orders, &Message::new("stored")).await
}

/// What `store` leaves behind, below this span.
fn assert_stored<B: Broker>(
    program: &Program<B>,
    stored: &str,
    receipt: &B::Receipt,
    below: &SpanContext,
) {
    let store = program.own("store");
    inside("store", below).assert(&store);
    let store = store.span_context;
    inside("look up", &store).assert(&program.own("look up"));
    let sent = program.recorder.span(&program.broker.send_name(stored));
    let expected = program
        .broker
        .send_span(stored, &Message::new("stored"), receipt);
    expected.child_of(&store).assert(&sent);
}

/// Spans that are opened in a handler are children of its process span, and what is sent in them is theirs; in
/// a consumer with a span of its own, in a task, and in one branch of several.
pub async fn spans_of_tracing_in_a_handler_are_below_the_process_span<B: Broker>() {
    let without_ours = SetUp::of(false, true);
    for set_up in SetUp::OURS.into_iter().chain([without_ours]) {
        let recorder = Recorder::new();
        let subscriber = set_up.subscriber(&recorder, Nothing);
        let program = Program::<B>::open(&recorder, 3).await;
        let stored = program.broker.declare("stored").await;
        let consumer = async {
            let order = program.receive().await;
            let receipt = order.process(async |_| NoOutcome(store(&program, &stored).await));
            let NoOutcome(receipt) = receipt.await;
            (order, receipt)
        };
        let consumer = async { consumer.instrument(info_span!("consume")).await };
        let (order, receipt) = consumer.with_subscriber(subscriber.clone()).await;
        let consume = program.own("consume").span_context;
        let process = program.processed();
        program.expected(&order).link(&consume).assert(&process);
        assert_stored(&program, &stored, &receipt, &process.span_context);
        recorder.clear();

        let order = program.receive().await;
        let guarded = async {
            let span = order.start_process_span();
            let handled = store(&program, &stored).with_context(span.context().clone());
            let receipt = handled.instrument(span.tracing_span()).await;
            span.end(&());
            receipt
        };
        let receipt = guarded.with_subscriber(subscriber.clone()).await;
        let process = program.processed();
        program.expected(&order).assert(&process);
        assert_stored(&program, &stored, &receipt, &process.span_context);
        recorder.clear();

        let order = program.receive().await;
        let one_of_two = async {
            let waits = std::future::pending::<()>().instrument(info_span!("waits"));
            let handler = order.process(async |_| NoOutcome(store(&program, &stored).await));
            tokio::select! {
                receipt = handler => receipt,
                () = waits => unreachable!("it never ends"),
            }
        };
        let NoOutcome(receipt) = one_of_two.with_subscriber(subscriber).await;
        let process = program.processed();
        program.expected(&order).assert(&process);
        assert_stored(&program, &stored, &receipt, &process.span_context);
    }
}

/// A handler in a task of its own, on whatever thread, that starts tasks in its turn.
pub async fn a_task_of_a_handler_goes_on_in_its_span<B: Broker>()
where
    B::Message: Send + Sync + 'static,
    Received<B::Message>: Send + Sync,
{
    for set_up in SetUp::OURS {
        let recorder = Recorder::new();
        let subscriber = set_up.subscriber(&recorder, Nothing);
        let program = Program::<B>::open(&recorder, 1).await;
        let order = program.receive().await;
        let task = async move {
            let handler = order.process(async |_| {
                task::yield_now().await;
                let task = async {
                    task::yield_now().await;
                    info_span!("store").in_scope(|| ());
                };
                // Dropped in its subscriber, too, and not only polled.
                let span = info_span!("task");
                let task = async { task.instrument(span).await };
                let task = task.with_current_subscriber();
                tokio::spawn(task).await.expect("no panic");
            });
            handler.await;
            order
        };
        let order = tokio::spawn(task.with_subscriber(subscriber)).await;
        let process = program.processed();
        program.expected(&order.expect("no panic")).assert(&process);
        let task = program.own("task");
        inside("task", &process.span_context).assert(&task);
        inside("store", &task.span_context).assert(&program.own("store"));
    }
}

/// Handlers of a stream of messages that take turns, on a runtime of one thread: each has what is its own.
pub async fn handlers_that_take_turns_on_one_thread_are_each_in_their_own_span<B: Broker>() {
    let on_one_thread = task::spawn_blocking(|| {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        for set_up in SetUp::OURS {
            runtime.block_on(take_turns::<B>(set_up));
        }
    });
    on_one_thread.await.expect("no panic");
}

async fn take_turns<B: Broker>(set_up: SetUp) {
    let recorder = Recorder::new();
    let subscriber = set_up.subscriber(&recorder, Nothing);
    let program = Program::<B>::open(&recorder, 2).await;
    let consumer = async {
        let orders = [program.receive().await, program.receive().await];
        let numbered = stream::iter((0_i64..).zip(&orders));
        let handled = numbered.for_each_concurrent(None, |(number, order)| {
            order.process(async move |_| {
                let handle = async {
                    task::yield_now().await;
                    info_span!("store").in_scope(|| ());
                };
                handle.instrument(info_span!("handle", number)).await;
            })
        });
        handled.await;
        orders
    };
    let consumer = async { consumer.instrument(info_span!("consume")).await };
    let orders = consumer.with_subscriber(subscriber).await;

    let consume = program.own("consume").span_context;
    let spans = recorder.spans();
    for (number, order) in (0_i64..).zip(&orders) {
        let number = KeyValue::new("number", number);
        let handle = spans.iter().find(|span| span.attributes.contains(&number));
        let handle = handle.expect("a span of the handler");
        let id = handle.span_context.span_id();
        let store = spans.iter().find(|span| span.parent_span_id == id);
        let is_process = |span: &&SpanData| span.span_context.span_id() == handle.parent_span_id;
        let process = spans.iter().find(is_process).expect("its process span");
        program.expected(order).link(&consume).assert(process);
        let expected = inside("handle", &process.span_context);
        expected.attribute(number.key, number.value).assert(handle);
        inside("store", &handle.span_context).assert(store.expect("a span in it"));
    }
}

/// The same of a batch, and of its messages one by one.
pub async fn spans_of_tracing_in_the_handler_of_a_batch_are_below_its_span<B: Broker>() {
    for set_up in SetUp::OURS {
        let recorder = Recorder::new();
        let subscriber = set_up.subscriber(&recorder, Nothing);
        let program = Program::<B>::open(&recorder, 2).await;
        let batch = Batch::from(vec![program.receive().await, program.receive().await]);
        let one_by_one = async |orders: &Batch<B::Message>| {
            info_span!("look up").in_scope(|| ());
            for order in orders.iter() {
                order
                    .process(async |_| info_span!("store").in_scope(|| ()))
                    .await;
            }
        };
        let handled = batch.process(one_by_one);
        let handled = async { handled.instrument(info_span!("consume")).await };
        handled.with_subscriber(subscriber).await;

        let spans = recorder.spans();
        let look_up = program.own("look up");
        let is_batch = |span: &&SpanData| span.span_context.span_id() == look_up.parent_span_id;
        let batch_span = spans.iter().find(is_batch).expect("its parent");
        assert_eq!(batch_span.span_kind, SpanKind::Consumer);
        let stored: Vec<_> = spans.iter().filter(|span| span.name == "store").collect();
        assert_eq!(stored.len(), 2);
        for (order, store) in batch.iter().zip(stored) {
            let is_parent = |span: &&SpanData| span.span_context.span_id() == store.parent_span_id;
            let process = spans.iter().find(is_parent).expect("its parent");
            let expected = program.expected(order);
            expected.link(&batch_span.span_context).assert(process);
        }
    }
}

/// Baggage that a handler attaches in a span of its own goes out with what it sends there.
pub async fn baggage_that_a_handler_attaches_in_its_span_goes_out<B: Broker>() {
    for set_up in SetUp::OURS {
        let recorder = Recorder::new();
        let subscriber = set_up.subscriber(&recorder, Nothing);
        let program = Program::<B>::open(&recorder, 1).await;
        let charge = async {
            let tenant = Context::current().with_baggage([KeyValue::new("tenant", "acme")]);
            let charged = Message::new("charged");
            let send = program.broker.send(&program.orders, &charged);
            send.with_context(tenant).await
        };
        let order = program.receive().await;
        let handled =
            order.process(async |_| NoOutcome(charge.instrument(info_span!("charge")).await));
        let _ = handled.with_subscriber(subscriber).await;
        let charge = program.own("charge").span_context;
        inside("charge", &program.processed().span_context).assert(&program.own("charge"));
        let sent = recorder.span(&program.broker.send_name(&program.orders));
        assert_eq!(sent.parent_span_id, charge.span_id());

        let charged = program.receive().await;
        let handled = charged.process(async |_| assert_eq!(tenant().as_deref(), Some("acme")));
        handled.await;
    }
}

/// `error!` marks the process span if it is directly in the handler, and else the span that it is in; the span of
/// a consumer loop it never marks.
pub async fn an_error_line_in_a_handler_marks_its_span_and_no_other<B: Broker>() {
    for set_up in SetUp::OURS {
        let recorder = Recorder::new();
        let subscriber = set_up.subscriber(&recorder, Nothing);
        let program = Program::<B>::open(&recorder, 3).await;
        let consumer = async {
            let [first, second, third] = [
                program.receive().await,
                program.receive().await,
                program.receive().await,
            ];
            let direct = async |_: &_| {
                tracing::Span::current().set_attribute("shelf", 7);
                task::yield_now().await;
                error!("out of stock");
            };
            first.process(direct).await;
            let within = async |_: &_| info_span!("store").in_scope(|| error!("disk is full"));
            second.process(within).await;
            let fails = async |_: &_| {
                error!("card is refused");
                Err::<(), _>(anyhow::anyhow!("declined"))
            };
            third.process(fails).await.expect_err("it fails");
            [first, second, third]
        };
        let consumer = async { consumer.instrument(info_span!("consume")).await };
        let [first, second, third] = consumer.with_subscriber(subscriber).await;

        let consume = program.own("consume");
        whole::span("consume", SpanKind::Internal).assert(&consume);
        let consume = consume.span_context;
        let mut spans = recorder.spans();
        spans.retain(|span| span.span_kind == SpanKind::Consumer);
        let [marked, unmarked, failed] = &spans[..] else {
            unreachable!("three orders were processed: {spans:?}");
        };
        let expected = program.expected(&first).link(&consume);
        let expected = expected.attribute("shelf", 7).failed();
        expected.event("out of stock").assert(marked);
        program.expected(&second).link(&consume).assert(unmarked);
        let store = inside("store", &unmarked.span_context).failed();
        store.event("disk is full").assert(&program.own("store"));
        let expected = program.expected(&third).link(&consume);
        let expected = expected.error("_OTHER").description("declined");
        let expected = expected.event("card is refused").event("exception");
        expected.assert(failed);
    }
}

/// Filters that let lines of the application pass alone, for the whole subscriber or for the layer that records
/// spans, do not keep `error!` from the process span.
pub async fn a_filter_has_no_say_about_the_span_of_a_handler<B: Broker>() {
    let own = || Targets::new().with_target("integration", Level::INFO);
    for is_for_all in [true, false] {
        let recorder = Recorder::new();
        let tracer = recorder.tracer_provider().tracer("application");
        let layer = tracing_opentelemetry::layer().with_tracer(Tracer::new(tracer));
        let registry = tracing_subscriber::registry().with(ProcessSpans);
        let subscriber = match is_for_all {
            true => Dispatch::new(registry.with(layer).with(own())),
            false => Dispatch::new(registry.with(layer.with_filter(own())).with(Nothing)),
        };
        let program = Program::<B>::open(&recorder, 2).await;
        let orders = [program.receive().await, program.receive().await];
        let handled = async {
            for order in &orders {
                // The filter of the layer has just been against something.
                let is_wanted = tracing::enabled!(target: "client", Level::INFO);
                assert_eq!(is_wanted, !is_for_all);
                order.process(async |_| error!("out of stock")).await;
            }
        };
        handled.with_subscriber(subscriber).await;

        let spans = recorder.spans();
        assert_eq!(spans.len(), orders.len());
        for (order, span) in orders.iter().zip(&spans) {
            let expected = program.expected(order).failed();
            expected.event("out of stock").assert(span);
        }
    }
}
