//! Deliveries that the client gives to a delegate.

use std::future;
use std::pin::Pin;
use std::sync::Arc;

use lapin::message::Delivery;
use opentelemetry::Context;

use super::{Consumer, Source};
use crate::engine::received::Received;
use crate::engine::span::processing;
use crate::semconv::outcome::Outcome;

/// The argument of a delegate: a delivery, `None` when the consumer was cancelled, or an error.
pub type DeliveryResult = lapin::Result<Option<Received<Delivery>>>;

/// A delegate for [`Consumer::set_delegate`], whose deliveries know their creation context.
///
/// It has the methods of lapin's [`ConsumerDelegate`](lapin::ConsumerDelegate). A closure that
/// returns a future implements it.
pub trait ConsumerDelegate: Send + Sync {
    /// Outcome of a delivery. It ends the process span, and is not used otherwise.
    type Outcome: Outcome;

    /// Called for each delivery, in their order, for a cancellation, and for an error.
    ///
    /// For a delivery, the call and its future run in the process span.
    fn on_new_delivery(
        &self,
        delivery: DeliveryResult,
    ) -> Pin<Box<dyn Future<Output = Self::Outcome> + Send>>;

    /// Called when messages are dropped that the delegate has not been called with.
    fn drop_prefetched_messages(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(future::ready(()))
    }
}

impl<D, F> ConsumerDelegate for D
where
    D: Fn(DeliveryResult) -> F + Send + Sync,
    F: Future + Send + 'static,
    F::Output: Outcome,
{
    type Outcome = F::Output;

    fn on_new_delivery(
        &self,
        delivery: DeliveryResult,
    ) -> Pin<Box<dyn Future<Output = F::Output> + Send>> {
        Box::pin(self(delivery))
    }
}

impl Consumer<lapin::Consumer> {
    /// Calls a delegate for each delivery, as [`lapin::Consumer::set_delegate`] does, in a `process
    /// {destination}` span that ends with the delegate's outcome.
    ///
    /// ```no_run
    /// use lapin::options::{BasicAckOptions, BasicNackOptions};
    /// use otel_messaging::amqp;
    ///
    /// # async fn handle(_: &[u8]) -> anyhow::Result<()> { Ok(()) }
    /// fn start(consumer: &amqp::Consumer) {
    ///     consumer.set_delegate(async |delivery: amqp::DeliveryResult| -> anyhow::Result<()> {
    ///         let Some(order) = delivery? else { return Ok(()) };
    ///         let handled = handle(&order.data).await;
    ///         if handled.is_ok() {
    ///             order.ack(BasicAckOptions::default()).await?;
    ///         } else {
    ///             // Once more, and then to the dead-letter exchange of the queue; without one, it is discarded.
    ///             let (multiple, requeue) = (false, !order.redelivered);
    ///             order.nack(BasicNackOptions { multiple, requeue }).await?;
    ///         }
    ///         handled
    ///     });
    /// }
    /// ```
    pub fn set_delegate<D: ConsumerDelegate + 'static>(&self, delegate: D) {
        self.client.set_delegate(Traced {
            delegate,
            source: Arc::clone(&self.source),
        });
    }
}

/// A delegate of the user's as one of the client's.
///
/// The client calls it on a thread of its own, inside a `tracing` span of its own, and for what has
/// come before on the thread that set it: whatever is current there is about no message.
struct Traced<D> {
    delegate: D,
    source: Arc<Source>,
}

impl<D: ConsumerDelegate + 'static> lapin::ConsumerDelegate for Traced<D> {
    fn on_new_delivery(
        &self,
        delivery: lapin::message::DeliveryResult,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let _nothing = Context::new().attach();
        let delivery = match delivery {
            Ok(Some(delivery)) => delivery,
            Ok(None) => return without_outcome(self.delegate.on_new_delivery(Ok(None))),
            Err(error) => return without_outcome(self.delegate.on_new_delivery(Err(error))),
        };
        let received = Received::deliver(delivery, &self.source, None, |_| None);
        let span = received.start_process_span();
        // Called here and not when the future is polled: deliveries come in order, tasks do not.
        let handling = {
            let _entered = span.enter();
            self.delegate.on_new_delivery(Ok(Some(received)))
        };
        without_outcome(processing(move || span, move || handling))
    }

    fn drop_prefetched_messages(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let _nothing = Context::new().attach();
        self.delegate.drop_prefetched_messages()
    }
}

fn without_outcome<T>(
    future: impl Future<Output = T> + Send + 'static,
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async {
        future.await;
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::expect_used, reason = "a test panics where it fails")]

    use std::sync::Mutex;
    use std::task::{self, Poll, Waker};

    use futures::FutureExt as _;
    use lapin::ConsumerDelegate as _;
    use opentelemetry::trace::{SpanKind, TraceContextExt as _};

    use super::*;
    use crate::amqp::ConnectionInfo;
    use crate::testing::{ExpectedSpan, Recorder};

    /// Writes down what it is told.
    #[derive(Default)]
    struct Diary(Mutex<Vec<&'static str>>);

    impl Diary {
        fn note(&self, entry: &'static str) {
            self.0.lock().expect("no panic before").push(entry);
        }
    }

    impl ConsumerDelegate for Arc<Diary> {
        type Outcome = Result<(), &'static str>;

        fn on_new_delivery(
            &self,
            delivery: DeliveryResult,
        ) -> Pin<Box<dyn Future<Output = Self::Outcome> + Send>> {
            self.note(match delivery {
                Ok(Some(_)) => "delivery",
                Ok(None) => "cancelled",
                Err(_) => "error",
            });
            Box::pin(future::ready(Err("no stock")))
        }

        fn drop_prefetched_messages(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
            self.note("dropped");
            Box::pin(future::ready(()))
        }
    }

    fn delivery() -> lapin::message::DeliveryResult {
        let delivery = Delivery::mock(1, "".into(), "orders".into(), false, Vec::new());
        Ok(Some(delivery))
    }

    fn traced<D>(recorder: &Recorder, delegate: D) -> Traced<D> {
        Traced {
            delegate,
            source: Arc::new(Source {
                client: ConnectionInfo::new().client(&recorder.telemetry()),
                queue: "orders".into(),
                is_temporary: false,
                receive_name: "consume",
            }),
        }
    }

    /// The client drops it with its runtime. The delegate has been called by then.
    #[test]
    fn a_delegate_that_is_dropped_after_any_number_of_polls_is_cancelled_once() {
        const WAITS: usize = 3;
        for polls in 0..=WAITS + 1 {
            let recorder = Recorder::new();
            let traced = traced(&recorder, async |_: DeliveryResult| {
                for _ in 0..WAITS {
                    let mut is_first = true;
                    future::poll_fn(|_| match std::mem::take(&mut is_first) {
                        true => Poll::Pending,
                        false => Poll::Ready(()),
                    })
                    .await;
                }
            });

            let mut handling = traced.on_new_delivery(delivery());
            let mut task = task::Context::from_waker(Waker::noop());
            for poll in 0..polls {
                let polled = handling.as_mut().poll(&mut task);
                assert_eq!(polled.is_ready(), poll == WAITS);
                assert!(!Context::current().has_active_span());
            }
            drop(handling);

            assert!(!Context::current().has_active_span());
            let span = ExpectedSpan::new("process orders", SpanKind::Consumer);
            let span = match polls > WAITS {
                true => span,
                false => span.error("cancelled").description(""),
            };
            span.assert(&recorder.span("process orders"));
            let processed = recorder.histogram("messaging.process.duration");
            assert_eq!(processed.iter().map(|timed| timed.count).sum::<u64>(), 1);
        }
    }

    #[test]
    fn a_delegate_is_told_all_and_only_deliveries_have_a_span() {
        let recorder = Recorder::new();
        let diary = Arc::new(Diary::default());
        let traced = traced(&recorder, Arc::clone(&diary));

        let error = lapin::ErrorKind::MissingHeartbeatError.into();
        for told in [delivery(), Ok(None), Err(error)] {
            assert_eq!(traced.on_new_delivery(told).now_or_never(), Some(()));
        }
        assert_eq!(traced.drop_prefetched_messages().now_or_never(), Some(()));

        let entries = diary.0.lock().expect("no panic before");
        assert_eq!(*entries, ["delivery", "cancelled", "error", "dropped"]);
        let spans = recorder.spans();
        let names: Vec<_> = spans.iter().map(|span| &*span.name).collect();
        assert_eq!(names, ["process orders"]);
    }
}
