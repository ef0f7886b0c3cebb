//! Scenes for any [`Broker`].

use std::future::pending;
use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;
use integration::{Broker, Header, Message};
use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{TraceContextExt as _, Tracer as _, TracerProvider as _};
use otel_messaging::policy::{Policy, Rule};
use otel_messaging::{Batch, Outcome, Received, Telemetry};

use crate::model::{End, Facts, Id, Scene};
use crate::stage::{Place, Stage, id};

/// What a handler of the walk can fail with. Of an error whose type it does not know, the crate has the debug text alone.
pub(crate) struct NoStock;

impl std::fmt::Debug for NoStock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no stock")
    }
}

impl std::fmt::Display for NoStock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no stock")
    }
}

impl std::error::Error for NoStock {}

/// Where a message came from.
pub(crate) fn origin<M: otel_messaging::Message>(received: &Received<M>) -> Id {
    id(received.creation_context().span().span_context())
}

pub(crate) fn policy(rule: Rule) -> impl FnOnce(Telemetry) -> Telemetry {
    |telemetry| telemetry.policy(Policy::new().rule(rule))
}

/// The header that a message has from an upstream service, by the message's number.
pub(crate) fn traceparent(number: usize) -> Header {
    let text = format!("00-{0:032x}-{0:016x}-01", number + 1);
    (b"traceparent".to_vec(), Some(text.into_bytes()))
}

/// Sends a message as somebody does who does not know of us.
pub(crate) async fn send_bare<B: Broker>(broker: &B, orders: &str, number: usize) {
    let order = Message {
        headers: vec![traceparent(number)],
        ..Message::new("order-7")
    };
    let bare = Context::new().with_telemetry_suppressed();
    broker.send(orders, &order).with_context(bare).await;
}

/// A message that is sent, received and handled in some way.
pub(crate) async fn handled<B: Broker>(
    place: &Place,
    name: &str,
    set: impl FnOnce(Telemetry) -> Telemetry,
    handle: impl AsyncFnOnce(&B, &str, &Stage, &Received<B::Message>, Facts) -> Facts,
) -> Scene {
    let stage = Stage::at(place);
    let broker = B::connect(&set(stage.telemetry())).await;
    let orders = broker.declare("orders").await;
    broker.send(&orders, &Message::new("order-7")).await;
    let received = broker.receive(&orders).await;
    let facts = stage.facts().sent().received(origin(&received));
    let facts = handle(&broker, &orders, &stage, &received, facts).await;
    drop((received, broker));
    stage.scene(name, facts)
}

/// The same, where the handler returns something.
async fn returning<B: Broker, R: Outcome>(
    place: &Place,
    name: &str,
    returned: R,
    end: End,
) -> Scene {
    let returns =
        async |_: &B, _: &str, _: &Stage, received: &Received<B::Message>, facts: Facts| {
            received.process(async |_| returned).await;
            facts.processed(end)
        };
    handled(place, name, |telemetry| telemetry, returns).await
}

fn failing(text: &str) -> End {
    End::failure(text)
}

/// One message, handled in every way that there is.
pub(crate) async fn singles<B: Broker>(place: &Place) -> Vec<Scene> {
    let boxed: Box<dyn std::error::Error + Send + Sync> = "no stock".into();
    let plain = |telemetry: Telemetry| telemetry;
    let classified = |telemetry: Telemetry| {
        telemetry.error_classifier(|_| Some(std::borrow::Cow::Borrowed("out_of_stock")))
    };
    vec![
        returning::<B, _>(place, "handled", (), End::Success).await,
        returning::<B, _>(place, "failed", Err::<(), _>(NoStock), failing("no stock")).await,
        returning::<B, _>(
            place,
            "failed with a text",
            Err::<(), _>("no stock"),
            failing("no stock"),
        )
        .await,
        returning::<B, _>(
            place,
            "failed with a box",
            Err::<(), _>(boxed),
            failing("no stock"),
        )
        .await,
        returning::<B, _>(
            place,
            "failed with nothing",
            Err::<(), _>(()),
            failing("()"),
        )
        .await,
        returning::<B, _>(
            place,
            "failed with anyhow",
            Err::<(), _>(anyhow::anyhow!("no stock")),
            failing("no stock"),
        )
        .await,
        handled::<B>(
            place,
            "failed and classified",
            classified,
            async |_, _, _, received, facts| {
                let _ = received.process(async |_| Err::<(), _>("no stock")).await;
                facts.processed(failing("no stock"))
            },
        )
        .await,
        handled::<B>(
            place,
            "panicked",
            plain,
            async |_, _, _, received, facts| {
                let handler =
                    received.process(async |_| std::panic::resume_unwind(Box::new("no stock")));
                let panicked: Result<(), _> = AssertUnwindSafe(handler).catch_unwind().await;
                assert!(panicked.is_err(), "the panic goes on");
                facts.processed(failing("no stock"))
            },
        )
        .await,
        handled::<B>(
            place,
            "cancelled",
            plain,
            async |_, _, _, received, facts| {
                let handler = received.process(async |_| pending::<()>().await);
                assert!(handler.now_or_never().is_none(), "it would never end");
                facts.processed(End::Failure(None))
            },
        )
        .await,
        handled::<B>(place, "guarded", plain, async |_, _, _, received, facts| {
            received.start_process_span().end(&Ok::<_, NoStock>(()));
            received.start_process_span().end(&Err::<(), _>(NoStock));
            drop(received.start_process_span());
            let ends = [End::Success, failing("no stock"), End::Failure(None)];
            ends.into_iter().fold(facts, Facts::processed)
        })
        .await,
        handled::<B>(
            place,
            "handled inside a span",
            plain,
            async |_, _, stage, received, facts| {
                let tracer = stage.tracers().tracer("walk");
                let ambient = Context::new().with_span(tracer.start("nightly run"));
                received.process(async |_| ()).with_context(ambient).await;
                facts.processed(End::Success)
            },
        )
        .await,
        handled::<B>(
            place,
            "forwarded",
            plain,
            async |broker, orders, _, received, facts| {
                let order = Message::new("order-8");
                let forwarding = async |_: &_| drop(broker.send(orders, &order).await);
                received.process(forwarding).await;
                facts.processed(End::Success).sent()
            },
        )
        .await,
    ]
}

/// So many messages, each from a trace of its own, as a batch.
pub(crate) async fn batched<B: Broker>(
    place: &Place,
    name: &str,
    set: impl FnOnce(Telemetry) -> Telemetry,
    handle: impl AsyncFnOnce(&Batch<B::Message>, Facts) -> Facts,
) -> Scene {
    const MESSAGES: usize = 3;
    let stage = Stage::at(place);
    let broker = B::connect(&set(stage.telemetry())).await;
    let orders = broker.declare("orders").await;
    let mut facts = stage.facts();
    let mut messages = Vec::new();
    for number in 0..MESSAGES {
        send_bare(&broker, &orders, number).await;
        let received = broker.receive(&orders).await;
        facts = facts.received(origin(&received));
        messages.push(received);
    }
    let batch = Batch::from(messages);
    let facts = handle(&batch, facts).await;
    drop((batch, broker));
    stage.scene(name, facts)
}

/// A batch, handled in every way that there is.
pub(crate) async fn batches<B: Broker>(place: &Place) -> Vec<Scene> {
    let all = Some(3);
    let plain = |telemetry: Telemetry| telemetry;
    vec![
        batched::<B>(place, "a batch", plain, async |batch, facts| {
            batch.process(async |_| ()).await;
            facts.did("process", all, End::Success)
        })
        .await,
        batched::<B>(place, "a batch that failed", plain, async |batch, facts| {
            let _ = batch.process(async |_| Err::<(), _>(NoStock)).await;
            facts.did("process", all, failing("no stock"))
        })
        .await,
        batched::<B>(
            place,
            "a batch that panicked",
            plain,
            async |batch, facts| {
                let handler =
                    batch.process(async |_| std::panic::resume_unwind(Box::new("no stock")));
                let panicked: Result<(), _> = AssertUnwindSafe(handler).catch_unwind().await;
                assert!(panicked.is_err(), "the panic goes on");
                facts.did("process", all, failing("no stock"))
            },
        )
        .await,
        batched::<B>(
            place,
            "a batch that was cancelled",
            plain,
            async |batch, facts| {
                drop(batch.start_process_span());
                facts.did("process", all, End::Failure(None))
            },
        )
        .await,
        batched::<B>(
            place,
            "a batch and each of it",
            plain,
            async |batch, facts| {
                batch
                    .process(async |batch| {
                        for one in batch.iter() {
                            one.process(async |_| ()).await;
                        }
                    })
                    .await;
                let each = (0..batch.len()).fold(facts, |facts, _| facts.processed(End::Success));
                each.did("process", all, End::Success)
            },
        )
        .await,
        batched::<B>(
            place,
            "a batch with more links than may be",
            |telemetry| telemetry.max_links(2),
            async |batch, facts| {
                batch.process(async |_| ()).await;
                facts.did("process", all, End::Success)
            },
        )
        .await,
        batched::<B>(
            place,
            "a batch in the traces of its messages",
            policy(Rule::of("*").fan_back(2)),
            async |batch, facts| {
                batch.process(async |_| ()).await;
                facts.unusual().did("process", all, End::Success)
            },
        )
        .await,
    ]
}
