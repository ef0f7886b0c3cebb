//! Acknowledging, refusing and rejecting deliveries.

use lapin::message::{BasicGetMessage, Delivery};
use lapin::options::{BasicAckOptions, BasicNackOptions, BasicRejectOptions};
use opentelemetry::{Context, KeyValue};

use super::attributes::{SETTLED, content, delivery_tag, error_type};
use crate::engine::ambient::ambient;
use crate::engine::received::{Message, Received};

/// Whatever form a delivery has.
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

/// Settling a delivery, with the results of the client: `Ok(false)` says that it was settled before
/// or that its channel is gone. That is no error; the span says it as
/// [`SETTLED`](crate::amqp::attributes::SETTLED).
impl<M: Settleable> Received<M> {
    /// Acknowledges the delivery, as [`Acker::ack`](lapin::Acker::ack) does, in an
    /// `ack {destination}` span that belongs to the process span of the delivery, if there is or was
    /// one, else to the current span.
    ///
    /// With `multiple` the deliveries before it are acknowledged too; the span is that of this one.
    ///
    /// # Errors
    ///
    /// The client's own error, as it came.
    ///
    /// # Cancel safety
    ///
    /// As the client's: nobody knows whether the broker was told. The span ends with its status
    /// unset.
    pub fn ack(&self, options: BasicAckOptions) -> impl Future<Output = lapin::Result<bool>> {
        self.settle("ack", self.delivery().acker.ack(options))
    }

    /// Refuses the delivery, as [`Acker::nack`](lapin::Acker::nack) does, in a `nack {destination}`
    /// span that belongs where that of [`ack`](Self::ack) does.
    ///
    /// With `multiple` the deliveries before it are refused too; the span is that of this one.
    ///
    /// # Errors
    ///
    /// The client's own error, as it came.
    ///
    /// # Cancel safety
    ///
    /// As of [`ack`](Self::ack).
    pub fn nack(&self, options: BasicNackOptions) -> impl Future<Output = lapin::Result<bool>> {
        self.settle("nack", self.delivery().acker.nack(options))
    }

    /// Refuses the delivery, as [`Acker::reject`](lapin::Acker::reject) does, in a
    /// `reject {destination}` span that belongs where that of [`ack`](Self::ack) does.
    ///
    /// # Errors
    ///
    /// The client's own error, as it came.
    ///
    /// # Cancel safety
    ///
    /// As of [`ack`](Self::ack).
    pub fn reject(&self, options: BasicRejectOptions) -> impl Future<Output = lapin::Result<bool>> {
        self.settle("reject", self.delivery().acker.reject(options))
    }

    fn settle(
        &self,
        operation_name: &'static str,
        settling: impl Future<Output = lapin::Result<bool>>,
    ) -> impl Future<Output = lapin::Result<bool>> {
        let called = Context::current();
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
                Err(error) => started.fail(error_type(error), || error.to_string()),
            }
            settled
        }
    }
}
