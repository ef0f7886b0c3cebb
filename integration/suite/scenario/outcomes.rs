//! How processing ends.

use std::num::ParseIntError;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use otel_messaging::testing::Recorder;
use otel_messaging::{Batch, Received, Telemetry};

use super::batches::at;
use crate::{Broker, Message};

/// An order that was sent and received.
struct One<B: Broker> {
    broker: B,
    orders: String,
    received: Received<B::Message>,
    creation: SpanContext,
}

async fn one_order<B: Broker>(telemetry: &Telemetry) -> One<B> {
    let broker = B::connect(telemetry).await;
    let orders = broker.declare("orders").await;
    broker.send(&orders, &Message::new("order-7")).await;
    let received = broker.receive(&orders).await;
    let creation = received.creation_context().span().span_context().clone();
    One {
        broker,
        orders,
        received,
        creation,
    }
}

/// A handler's error goes back as it came, and is on the span as status, `error.type` and exception.
pub async fn a_handler_error_is_recorded_and_returned<B: Broker>() {
    let recorder = Recorder::new();
    let One {
        broker,
        orders,
        received,
        creation,
    } = one_order::<B>(&recorder.telemetry()).await;

    let outcome: anyhow::Result<()> = received
        .process(async |_| Err(anyhow::anyhow!("no stock")))
        .await;

    assert_eq!(
        outcome.map_err(|error| error.to_string()),
        Err("no stock".to_owned())
    );
    let span = recorder.span(&broker.process_name(&orders));
    broker
        .process_span(&orders, &received)
        .child_of(&creation)
        .link(&creation)
        .error("_OTHER")
        .description("no stock")
        .event("exception")
        .assert(&span);
}

/// A panic of the handler is on the span, and goes on.
pub async fn a_panic_is_recorded_and_goes_on<B: Broker>() {
    let recorder = Recorder::new();
    let One {
        broker,
        orders,
        received,
        creation,
    } = one_order::<B>(&recorder.telemetry()).await;

    let panicked = AssertUnwindSafe(received.process(async |_| -> Result<(), String> {
        tokio::task::yield_now().await;
        std::panic::resume_unwind(Box::new("out of paper"))
    }))
    .catch_unwind()
    .await;

    let payload = panicked.expect_err("the panic goes on");
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"out of paper"));
    broker
        .process_span(&orders, &received)
        .child_of(&creation)
        .link(&creation)
        .error("panic")
        .description("out of paper")
        .exception("panic")
        .assert(&recorder.span(&broker.process_name(&orders)));
}

/// A future that panics while it is dropped after its end has lost its outcome; so does one of a batch.
pub async fn a_panic_while_a_handler_is_dropped_is_recorded_and_goes_on<B: Broker>() {
    struct Jams;
    impl Drop for Jams {
        fn drop(&mut self) {
            std::panic::resume_unwind(Box::new("out of paper"));
        }
    }
    for is_batch in [false, true] {
        let recorder = Recorder::new();
        let One {
            broker,
            orders,
            received,
            creation,
        } = one_order::<B>(&recorder.telemetry()).await;
        let handler = || {
            let jams = Jams;
            std::future::poll_fn(move |_| {
                let _ = &jams;
                std::task::Poll::Ready(())
            })
        };

        let (panicked, expected) = if is_batch {
            broker.send(&orders, &Message::new("order-7")).await;
            let second = broker.receive(&orders).await;
            let link = second.creation_context().span().span_context().clone();
            let batch = Batch::from(vec![received, second]);
            let handling = AssertUnwindSafe(batch.process(|_| handler()));
            let panicked = handling.catch_unwind().await;
            let expected = broker.in_common(broker.batch_span(&orders, 2), at(&batch, 0));
            (panicked, expected.link(&creation).link(&link))
        } else {
            let handling = AssertUnwindSafe(received.process(|_| handler()));
            let panicked = handling.catch_unwind().await;
            let expected = broker.process_span(&orders, &received);
            (panicked, expected.child_of(&creation).link(&creation))
        };

        let payload = panicked.expect_err("the panic goes on");
        assert_eq!(payload.downcast_ref::<&str>(), Some(&"out of paper"));
        expected
            .error("panic")
            .description("out of paper")
            .exception("panic")
            .assert(&recorder.span(&broker.process_name(&orders)));
    }
}

/// A handler or guard that is dropped before its end is cancelled.
pub async fn a_dropped_handler_and_a_dropped_guard_are_cancelled<B: Broker>() {
    let recorder = Recorder::new();
    let One {
        broker,
        orders,
        received,
        creation,
    } = one_order::<B>(&recorder.telemetry()).await;

    let handler = received.process(async |_| std::future::pending::<()>().await);
    tokio::time::timeout(Duration::from_millis(20), handler)
        .await
        .expect_err("the handler never ends");
    drop(received.start_process_span());

    let name = broker.process_name(&orders);
    let spans: Vec<_> = recorder
        .spans()
        .into_iter()
        .filter(|span| span.name == name)
        .collect();
    assert_eq!(spans.len(), 2);
    for span in &spans {
        broker
            .process_span(&orders, &received)
            .child_of(&creation)
            .link(&creation)
            .error("cancelled")
            .description("")
            .assert(span);
    }
}

/// The classifier decides what is a failure and what it is called.
pub async fn the_error_classifier_decides<B: Broker>() {
    let recorder = Recorder::new();
    let telemetry = recorder.telemetry().error_classifier(|error| {
        error
            .downcast_ref::<ParseIntError>()
            .map(|_| "malformed_order".into())
    });
    let One {
        broker,
        orders,
        received,
        creation,
    } = one_order::<B>(&telemetry).await;
    let expected = || {
        broker
            .process_span(&orders, &received)
            .child_of(&creation)
            .link(&creation)
    };
    let name = broker.process_name(&orders);

    let _ = received.process(async |_| "seven".parse::<u32>()).await;
    expected()
        .error("malformed_order")
        .description("invalid digit found in string")
        .exception("core::num::error::ParseIntError")
        .assert(&recorder.span(&name));

    recorder.clear();
    let _ = received
        .process(async |_| Err::<(), _>("already shipped"))
        .await;
    expected().assert(&recorder.span(&name));
}
