//! Publishing of several threads on one channel.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::Poll;

/// Who may publish.
///
/// The client numbers a message, by which it knows the confirm, before it queues it, and does both when the publish is
/// first polled: if another thread did so in between, each of the two would be told the other's confirm.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<()>);

impl Turns {
    /// Publishes, with nobody else between the number and the queue.
    pub(super) async fn take<T>(&self, mut publishing: Pin<&mut impl Future<Output = T>>) -> T {
        let queued = poll_fn(|task| {
            let _turn = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Poll::Ready(publishing.as_mut().poll(task))
        });
        match queued.await {
            Poll::Ready(written) => written,
            Poll::Pending => publishing.await,
        }
    }
}
