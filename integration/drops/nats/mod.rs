//! async-nats' futures, on the nats-server of `NATS_URL`, and on the stand-ins.

mod core_sends;
mod receives;
mod requests;
mod settles;
mod stand_ins;
mod stream_receives;
mod stream_sends;

use std::future::poll_fn;

use async_nats::{Client, ConnectOptions};
use futures::FutureExt as _;
use integration::nats::url;

use crate::given_up;

/// Messages that are sent, received or settled in each way.
fn rounds() -> usize {
    given_up::rounds(100)
}

/// Messages of a batch.
const TOGETHER: usize = 3;

/// A client that has room for one thing that its connection has not taken yet: the next one waits.
async fn narrow() -> Client {
    let options = ConnectOptions::new().client_capacity(1);
    options.connect(url()).await.expect("a connection")
}

/// Takes the room that a client has, with something that nobody receives.
fn fill(client: &Client) {
    drop(client.publish("nobody", "".into()).now_or_never());
}

/// Polls a future when there is no room, each time: where it hands something over, it waits.
///
/// The test is to have one thread: with another one, the connection could make room in between.
async fn without_room<F: Future>(fill: impl Fn(), future: F) -> F::Output {
    let mut future = Box::pin(future);
    poll_fn(|task| {
        fill();
        future.as_mut().poll(task)
    })
    .await
}
