use std::future::{self, Future};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::Stream;
use otel_messaging::amqp;

use crate::Result;
use crate::message::{Delivery, DeliveryResult};

/// A wrapped [`Consumer`](bare::Consumer).
#[derive(Clone, Debug)]
pub struct Consumer(pub(crate) amqp::Consumer);

impl Consumer {
    /// The wrapper's.
    pub fn set_delegate<D: ConsumerDelegate + 'static>(&self, delegate: D) {
        self.0.set_delegate(Delegate(delegate));
    }
}

impl Stream for Consumer {
    type Item = Result<Delivery>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(Pin::new(&mut self.0).poll_next(task));
        Poll::Ready(next.map(|item| item.map(Delivery::from)))
    }
}

/// As the client's. The wrapper's has an outcome.
pub trait ConsumerDelegate: Send + Sync {
    /// As the client's.
    fn on_new_delivery(&self, delivery: DeliveryResult)
    -> Pin<Box<dyn Future<Output = ()> + Send>>;

    /// As the client's.
    fn drop_prefetched_messages(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(future::ready(()))
    }
}

impl<D, F> ConsumerDelegate for D
where
    D: Fn(DeliveryResult) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    fn on_new_delivery(
        &self,
        delivery: DeliveryResult,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(self(delivery))
    }
}

struct Delegate<D>(D);

impl<D: ConsumerDelegate> amqp::ConsumerDelegate for Delegate<D> {
    type Outcome = ();

    fn on_new_delivery(
        &self,
        delivery: amqp::DeliveryResult,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let delivery = delivery.map(|delivery| delivery.map(Delivery::from));
        self.0.on_new_delivery(delivery)
    }

    fn drop_prefetched_messages(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.0.drop_prefetched_messages()
    }
}
