//! Publishing of several threads on one channel.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};

use super::Producer;

/// Who may publish.
pub(super) type Turn = Mutex<()>;

impl Producer {
    /// Publishes, with nobody else between the number and the queue.
    ///
    /// The client numbers a message, by which it knows the confirm, before it queues it, and does both when the publish
    /// is first polled: if another thread did so in between, each of the two would be told the other's confirm.
    pub(super) async fn in_turn<T>(
        &self,
        has_confirms: bool,
        mut publishing: Pin<&mut impl Future<Output = T>>,
    ) -> T {
        let mut turn = has_confirms.then_some(&*self.turn);
        let publishing = poll_fn(|task| {
            let turn = turn.take().map(Mutex::lock);
            let _turn = turn.map(|turn| turn.unwrap_or_else(PoisonError::into_inner));
            publishing.as_mut().poll(task)
        });
        publishing.await
    }
}
