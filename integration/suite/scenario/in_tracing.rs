//! Sending and handlers in programs that record their `tracing` spans with OpenTelemetry, with and without our
//! layer, and with and without contexts that the layer of tracing-opentelemetry activates.

use std::rc::Rc;

use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanContext, SpanKind, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::SpanData;
use otel_messaging::testing::{ExpectedSpan, Recorder};
use otel_messaging::with_tracing::{ProcessSpans, Tracer};
use otel_messaging::{HandlerError, Outcome, Received};
use tokio::task::{self, LocalSet};
use tracing::instrument::WithSubscriber as _;
use tracing::span::{Attributes, Id};
use tracing::{Dispatch, Instrument as _, Subscriber, info_span, instrument};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Layer, Registry};

use super::{send_bare, tenant, upstream_headers, upstream_span};
use crate::{Broker, Message, whole};

/// How a program is set up.
#[derive(Clone, Copy, Debug)]
pub(super) struct SetUp {
    /// By two lines, with what we have for that.
    pub(super) has_ours: bool,
    /// The span that is entered is in OpenTelemetry's current context.
    pub(super) activates: bool,
}

impl SetUp {
    pub(super) const OURS: [Self; 2] = [Self::of(true, true), Self::of(true, false)];
    pub(super) const ALL: [Self; 4] = [
        Self::of(true, true),
        Self::of(true, false),
        Self::of(false, true),
        Self::of(false, false),
    ];

    pub(super) const fn of(has_ours: bool, activates: bool) -> Self {
        Self {
            has_ours,
            activates,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self.activates {
            true => "activates",
            false => "does not activate",
        }
    }

    /// A subscriber that records here, and has another layer.
    pub(super) fn subscriber<L>(self, recorder: &Recorder, other: L) -> Dispatch
    where
        L: Layer<Registry> + Send + Sync,
    {
        let tracer = recorder.tracer_provider().tracer("application");
        let layer = tracing_opentelemetry::layer()
            .with_context_activation(self.activates)
            .with_location(false)
            .with_target(false)
            .with_threads(false)
            .with_tracked_inactivity(false);
        let registry = tracing_subscriber::registry().with(other.with_filter(LevelFilter::INFO));
        if self.has_ours {
            let layer = layer.with_tracer(Tracer::new(tracer));
            // The filter of a layer has nothing to say about ours.
            let layer = layer.with_filter(LevelFilter::INFO);
            return Dispatch::new(registry.with(layer).with(ProcessSpans));
        }
        let layer = layer.with_tracer(tracer);
        Dispatch::new(registry.with(layer.with_filter(LevelFilter::INFO)))
    }
}

/// A layer that does nothing.
pub(super) struct Nothing;

impl<S: Subscriber> Layer<S> for Nothing {}

/// A program with orders from a service before it.
pub(super) struct Program<B> {
    pub(super) recorder: Recorder,
    pub(super) broker: B,
    pub(super) orders: String,
}

impl<B: Broker> Program<B> {
    /// Has so many orders.
    pub(super) async fn open(recorder: &Recorder, orders: usize) -> Self {
        let broker = B::connect(&recorder.telemetry()).await;
        let program = Self {
            orders: broker.declare("orders").await,
            recorder: recorder.clone(),
            broker,
        };
        for _ in 0..orders {
            send_bare(&program.broker, &program.orders, upstream_headers()).await;
        }
        program
    }

    pub(super) async fn receive(&self) -> Received<B::Message> {
        self.broker.receive(&self.orders).await
    }

    #[instrument(skip_all)]
    async fn take_order(&self, order: &Message) -> B::Receipt {
        task::yield_now().await;
        self.broker.send(&self.orders, order).await
    }

    /// The application's span of this name.
    #[track_caller]
    pub(super) fn own(&self, name: &str) -> SpanData {
        self.recorder.span(name)
    }

    /// The process span of this order, as a child of what sent it.
    pub(super) fn expected(&self, order: &Received<B::Message>) -> ExpectedSpan {
        let expected = self.broker.process_span(&self.orders, order);
        expected.child_of(&upstream_span()).link(&upstream_span())
    }

    pub(super) fn processed(&self) -> SpanData {
        self.recorder.span(&self.broker.process_name(&self.orders))
    }

    /// The one send has this span of `tracing` as its parent.
    #[track_caller]
    fn assert_sent_in(&self, parent: &str, order: &Message, receipt: &B::Receipt) {
        let parent = self.own(parent).span_context;
        let sent = self.recorder.span(&self.broker.send_name(&self.orders));
        let expected = self.broker.send_span(&self.orders, order, receipt);
        expected.child_of(&parent).assert(&sent);
    }
}

pub(super) fn inside(name: &str, parent: &SpanContext) -> ExpectedSpan {
    whole::span(name.to_owned(), SpanKind::Internal).child_of(parent)
}

/// A send is a child of the span of `tracing` around it, wherever its future is polled.
pub async fn a_send_in_a_span_of_tracing_is_its_child<B: Broker + 'static>() {
    for set_up in SetUp::ALL {
        let recorder = Recorder::new();
        let subscriber = set_up.subscriber(&recorder, Nothing);
        let program = Rc::new(Program::<B>::open(&recorder, 0).await);
        let order = Message::new("order-7");
        let sends = async {
            let receipt = program.take_order(&order).await;
            program.assert_sent_in("take_order", &order, &receipt);
            recorder.clear();

            let nested = program.take_order(&order).instrument(info_span!("outer"));
            let receipt = nested.await;
            program.assert_sent_in("take_order", &order, &receipt);
            let outer = program.own("outer").span_context;
            inside("take_order", &outer).assert(&program.own("take_order"));
            recorder.clear();

            // Called in one span and polled in another, or in none.
            let send =
                info_span!("called").in_scope(|| program.broker.send(&program.orders, &order));
            let receipt = send.instrument(info_span!("polled")).await;
            program.assert_sent_in("polled", &order, &receipt);
            recorder.clear();

            let waits = std::future::pending::<()>().instrument(info_span!("waits"));
            let receipt = tokio::select! {
                receipt = program.take_order(&order) => receipt,
                () = waits => unreachable!("it never ends"),
            };
            program.assert_sent_in("take_order", &order, &receipt);
            recorder.clear();

            let (task, sent) = (Rc::clone(&program), order.clone());
            let task = async move { task.broker.send(&task.orders, &sent).await };
            let task = task.instrument(info_span!("task"));
            let receipt = task::spawn_local(task).await.expect("no panic");
            program.assert_sent_in("task", &order, &receipt);
            recorder.clear();

            // Baggage that is attached inside of the span goes out with it.
            let receipt = async {
                let tenant = Context::current().with_baggage([KeyValue::new("tenant", "acme")]);
                let send = program.broker.send(&program.orders, &order);
                send.with_context(tenant).await
            };
            let receipt = receipt.instrument(info_span!("with baggage")).await;
            program.assert_sent_in("with baggage", &order, &receipt);
            recorder.clear();
        };
        let tasks = LocalSet::new();
        tasks.run_until(sends).with_subscriber(subscriber).await;
        for _ in 0..5 {
            program
                .receive()
                .await
                .process(async |_| assert_eq!(tenant(), None))
                .await;
        }
        let order = program.receive().await;
        order
            .process(async |_| assert_eq!(tenant().as_deref(), Some("acme")))
            .await;
    }
}

/// What a handler returns that is no result.
pub(super) struct NoOutcome<T>(pub(super) T);

impl<T> Outcome for NoOutcome<T> {
    fn error(&self) -> Option<HandlerError<'_>> {
        None
    }
}

/// Sending and processing are the same where nobody takes spans of `tracing`.
pub async fn without_a_subscriber_all_is_as_without_tracing<B: Broker>() {
    let no_layer = tracing_subscriber::registry();
    let ours_alone = tracing_subscriber::registry().with(ProcessSpans);
    for subscriber in [
        Dispatch::none(),
        Dispatch::new(no_layer),
        Dispatch::new(ours_alone),
    ] {
        assert_goes_through::<B>(subscriber).await;
    }
}

/// A subscriber that panics with each span costs no message, and no span of ours.
pub async fn a_subscriber_that_panics_costs_no_message<B: Broker>() {
    let recorder = Recorder::new();
    // The last one leaves the span current on this thread: the layer that would end that is not told.
    for moment in ["new", "enter", "close", "exit"] {
        let panics = SetUp::OURS[0].subscriber(&recorder, Panics(moment));
        assert_goes_through::<B>(panics).await;
    }
}

async fn assert_goes_through<B: Broker>(subscriber: Dispatch) {
    let recorder = Recorder::new();
    let program = Program::<B>::open(&recorder, 1).await;
    let passed_on = program.broker.declare("passed-on").await;
    let order = program.receive().await;
    let message = Message::new("order-8");
    let handler =
        order.process(async |_| NoOutcome(program.broker.send(&passed_on, &message).await));
    let NoOutcome(receipt) = handler.with_subscriber(subscriber).await;

    let process = program.processed();
    program.expected(&order).assert(&process);
    let expected = program.broker.send_span(&passed_on, &message, &receipt);
    let sent = recorder.span(&program.broker.send_name(&passed_on));
    expected.child_of(&process.span_context).assert(&sent);
}

/// Panics at this moment of the life of a handler's span.
struct Panics(&'static str);

impl Panics {
    fn at(&self, moment: &str) {
        assert_ne!(self.0, moment, "a subscriber panics");
    }
}

impl<S: Subscriber> Layer<S> for Panics {
    fn on_new_span(
        &self,
        _: &Attributes<'_>,
        _: &Id,
        _: tracing_subscriber::layer::Context<'_, S>,
    ) {
        self.at("new");
    }

    fn on_enter(&self, _: &Id, _: tracing_subscriber::layer::Context<'_, S>) {
        self.at("enter");
    }

    fn on_exit(&self, _: &Id, _: tracing_subscriber::layer::Context<'_, S>) {
        self.at("exit");
    }

    fn on_close(&self, _: Id, _: tracing_subscriber::layer::Context<'_, S>) {
        self.at("close");
    }
}
