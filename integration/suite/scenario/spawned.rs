//! What a handler has done elsewhere: in tasks, on threads, in a pool.

use std::pin::Pin;
use std::thread;

use futures::channel::oneshot;
use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{
    Span as _, SpanContext, SpanKind, TraceContextExt as _, Tracer as _, TracerProvider as _,
};
use otel_messaging::testing::{ExpectedSpan, Recorder};
use tokio::runtime::Handle;
use tokio::task::{JoinSet, spawn_blocking};

use super::{send_bare, tenant, upstream_headers, upstream_span};
use crate::{Broker, Message, Spawner, whole};

/// Where work is done that is not the handler's own.
#[derive(Clone, Copy, Debug)]
enum Elsewhere {
    Spawned,
    InASet,
    Blocking,
    OnAThread,
    InAPool,
}

impl Elsewhere {
    const ALL: [Self; 5] = [
        Self::Spawned,
        Self::InASet,
        Self::Blocking,
        Self::OnAThread,
        Self::InAPool,
    ];

    /// With the context of the handler, as the documentation of `Received::process` says.
    fn with_context(self, set: &mut JoinSet<()>, work: impl Future<Output = ()> + Send + 'static) {
        let (runtime, context) = (Handle::current(), Context::current());
        match self {
            Self::Spawned => drop(tokio::spawn(work.with_current_context())),
            Self::InASet => drop(set.spawn(work.with_current_context())),
            Self::Blocking => drop(spawn_blocking(move || {
                let _guard = context.attach();
                runtime.block_on(work);
            })),
            Self::OnAThread => drop(thread::spawn(move || {
                let _guard = context.attach();
                runtime.block_on(work);
            })),
            Self::InAPool => rayon::spawn(move || {
                let _guard = context.attach();
                runtime.block_on(work);
            }),
        }
    }

    fn without(self, set: &mut JoinSet<()>, work: impl Future<Output = ()> + Send + 'static) {
        let runtime = Handle::current();
        match self {
            Self::Spawned => drop(tokio::spawn(work)),
            Self::InASet => drop(set.spawn(work)),
            Self::Blocking => drop(spawn_blocking(move || runtime.block_on(work))),
            Self::OnAThread => drop(thread::spawn(move || runtime.block_on(work))),
            Self::InAPool => rayon::spawn(move || runtime.block_on(work)),
        }
    }
}

/// When it is done.
#[derive(Clone, Copy, Debug, PartialEq)]
enum When {
    InTheHandler,
    AfterTheHandler,
}

/// A span of the application, a wrapped send and the baggage: all as if the handler did it, in whatever task or thread,
/// and whether or not the handler is still there.
pub async fn work_that_a_handler_spawns_is_in_its_trace_where_it_is_given_the_context<
    B: Spawner,
>() {
    let shop = Shop::<B>::open().await;
    for elsewhere in Elsewhere::ALL {
        for when in [When::InTheHandler, When::AfterTheHandler] {
            let mut set = JoinSet::new();
            let spawn = |work: Work| elsewhere.with_context(&mut set, work);
            let (process, worked) = shop.process(when, spawn).await;
            shop.assert_worked(worked, Some(&process), Some("blue sky"))
                .await;
        }
    }
}

/// It begins a trace of its own, without baggage. It is in no other one, whatever is handled meanwhile.
pub async fn work_that_a_handler_spawns_without_the_context_is_in_no_trace<B: Spawner>() {
    let shop = Shop::<B>::open().await;
    for elsewhere in Elsewhere::ALL {
        for when in [When::InTheHandler, When::AfterTheHandler] {
            let mut set = JoinSet::new();
            let spawn = |work: Work| elsewhere.without(&mut set, work);
            let (_, worked) = shop.process(when, spawn).await;
            shop.assert_worked(worked, None, None).await;
        }
    }
}

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What the broker says of the message that is sent elsewhere, and the baggage that is seen there.
type Worked<B> = (<B as Broker>::Receipt, Option<String>);

struct Shop<B> {
    recorder: Recorder,
    broker: B,
    orders: String,
    payments: String,
    payment: Message,
}

impl<B: Spawner> Shop<B> {
    async fn open() -> Self {
        let recorder = Recorder::new();
        let broker = B::connect(&recorder.telemetry()).await;
        Self {
            orders: broker.declare("orders").await,
            payments: broker.declare("payments").await,
            payment: Message::new("payment-7"),
            recorder,
            broker,
        }
    }

    /// Processes an order by a handler that spawns work, and asserts that its own trace goes on.
    async fn process(&self, when: When, spawn: impl FnOnce(Work)) -> (SpanContext, Worked<B>) {
        send_bare(&self.broker, &self.orders, upstream_headers()).await;
        let order = self.broker.receive(&self.orders).await;
        let (begin, begun) = oneshot::channel();
        let (done, mut result) = oneshot::channel();
        let (mut begin, mut worked) = (Some(begin), None);
        let tracer = self.recorder.tracer_provider().tracer("scenario");
        let send = self.broker.sender(&self.payments, &self.payment);
        let work = async move {
            begun.await.expect("a start");
            tracer.start("charge card").end();
            let result = (send.await, tenant());
            assert!(done.send(result).is_ok(), "somebody waits");
        };

        let handled = order.process(async |_| {
            spawn(Box::pin(work));
            if when == When::InTheHandler {
                begin.take().expect("a gate").send(()).expect("it waits");
                worked = (&mut result).await.ok();
            }
        });
        handled.await;
        if let Some(begin) = begin {
            begin.send(()).expect("it waits");
            worked = result.await.ok();
        }
        let worked = worked.expect("a result");

        let process = self.recorder.span(&self.broker.process_name(&self.orders));
        self.broker
            .process_span(&self.orders, &order)
            .child_of(&upstream_span())
            .link(&upstream_span())
            .assert(&process);
        (process.span_context, worked)
    }

    /// Asserts what was done elsewhere, and what the sent message has of that.
    async fn assert_worked(
        &self,
        (receipt, seen): Worked<B>,
        parent: Option<&SpanContext>,
        expected_tenant: Option<&str>,
    ) {
        let placed = |span: ExpectedSpan| match parent {
            Some(parent) => span.child_of(parent),
            None => span,
        };
        let charge = whole::span("charge card", SpanKind::Internal);
        placed(charge).assert(&self.recorder.span("charge card"));
        let send = self.recorder.span(&self.broker.send_name(&self.payments));
        let expected = self
            .broker
            .send_span(&self.payments, &self.payment, &receipt);
        placed(expected).assert(&send);
        assert_eq!(seen.as_deref(), expected_tenant);

        let payment = self.broker.receive(&self.payments).await;
        let carried = payment.creation_context();
        let created = carried.span().span_context().span_id();
        assert_eq!(created, send.span_context.span_id());
        let carried = carried.baggage().get("tenant").map(ToString::to_string);
        assert_eq!(carried.as_deref(), expected_tenant);
        self.recorder.clear();
    }
}
