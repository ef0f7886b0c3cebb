//! Acknowledging, refusing and rejecting deliveries.

use lapin::message::{BasicGetMessage, Delivery};
use lapin::options::{BasicAckOptions, BasicNackOptions, BasicRejectOptions};
use opentelemetry::KeyValue;

use super::attributes::{SETTLED, content, delivery_tag, error_type};
use crate::engine::ambient::{ambient, current};
use crate::engine::received::{Message, Received};
use crate::semconv::exception::ErrorDetails;

/// A delivery that [`Received::ack`] can settle: a `Delivery` or a `BasicGetMessage`. The trait is
/// sealed.
pub trait Settleable: Message + sealed::Delivered {}

impl Settleable for Delivery {}
impl Settleable for BasicGetMessage {}

mod sealed {
    use lapin::message::{BasicGetMessage, Delivery};

    #[expect(unnameable_types, reason = "nobody else is to implement it")]
    pub trait Delivered {
        /// The delivery itself.
        fn delivery(&self) -> &Delivery;
    }

    impl Delivered for Delivery {
        fn delivery(&self) -> &Delivery {
            self
        }
    }

    impl Delivered for BasicGetMessage {
        fn delivery(&self) -> &Delivery {
            &self.delivery
        }
    }
}

/// Settling a delivery. The results are those of the client: `Ok(false)` if the delivery was
/// settled before, or if its channel is closed. That is no error; the span has it as
/// [`SETTLED`](crate::amqp::attributes::SETTLED).
impl<M: Settleable> Received<M> {
    /// Acknowledges the delivery, as [`Acker::ack`](lapin::Acker::ack) does, in an `ack
    /// {destination}` span.
    ///
    /// The span is a child of the process span of the delivery, if there is or was one, else of the
    /// active span. With `multiple`, the deliveries before are acknowledged too; they have no
    /// spans.
    ///
    /// # Errors
    ///
    /// The error of [`Acker::ack`](lapin::Acker::ack).
    ///
    /// # Cancel safety
    ///
    /// As for [`Acker::ack`](lapin::Acker::ack): it is unknown whether the broker received it. The
    /// span ends with the status unset.
    pub fn ack(&self, options: BasicAckOptions) -> impl Future<Output = lapin::Result<bool>> {
        self.settle("ack", self.delivery().acker.ack(options))
    }

    /// Refuses the delivery, as [`Acker::nack`](lapin::Acker::nack) does, in a `nack {destination}`
    /// span with the parent of an [`ack`](Self::ack) span.
    ///
    /// With `multiple`, the deliveries before are refused too; they have no spans.
    ///
    /// # Errors
    ///
    /// The error of [`Acker::nack`](lapin::Acker::nack).
    ///
    /// # Cancel safety
    ///
    /// As for [`ack`](Self::ack).
    pub fn nack(&self, options: BasicNackOptions) -> impl Future<Output = lapin::Result<bool>> {
        self.settle("nack", self.delivery().acker.nack(options))
    }

    /// Refuses the delivery, as [`Acker::reject`](lapin::Acker::reject) does, in a `reject
    /// {destination}` span with the parent of an [`ack`](Self::ack) span.
    ///
    /// # Errors
    ///
    /// The error of [`Acker::reject`](lapin::Acker::reject).
    ///
    /// # Cancel safety
    ///
    /// As for [`ack`](Self::ack).
    pub fn reject(&self, options: BasicRejectOptions) -> impl Future<Output = lapin::Result<bool>> {
        self.settle("reject", self.delivery().acker.reject(options))
    }

    fn settle(
        &self,
        operation_name: &'static str,
        settling: impl Future<Output = lapin::Result<bool>>,
    ) -> impl Future<Output = lapin::Result<bool>> {
        let called = current();
        async move {
            let ambient = ambient(called);
            if ambient.is_telemetry_suppressed() {
                return settling.await;
            }
            let mut started = self.start_settle(operation_name, &ambient);
            let delivery = self.delivery();
            started.record(|| {
                content(&delivery.routing_key, &delivery.properties).chain(delivery_tag(delivery))
            });
            let settled = settling.await;
            match &settled {
                Ok(true) => {}
                Ok(false) => started.record(|| [KeyValue::new(SETTLED, false)]),
                Err(error) => started.fail(error_type(error), || ErrorDetails::from_error(error)),
            }
            settled
        }
    }
}
