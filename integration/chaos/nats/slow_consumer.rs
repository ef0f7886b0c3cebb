//! A subscriber that does not read as fast as others publish: the client drops what it has no room for.

use std::time::Duration;

use async_nats::{Client, ConnectOptions};
use futures::StreamExt as _;
use integration::drops::Counted;
use integration::unique;
use otel_messaging::nats;
use tokio::time::timeout;

use super::server::Server;
use crate::book::Book;
use crate::house::Hardship;
use crate::load::PATIENCE;
use crate::sides::Told;

/// A client with room for so many messages.
async fn connect(url: &str, room: usize) -> Client {
    let options = ConnectOptions::new().subscription_capacity(room);
    options.connect(url).await.expect("a connection")
}

/// Each publishes many to itself, then reads what it got: both get the same, the first ones.
pub(crate) async fn run(server: &Server, hardship: &mut Hardship) -> Told {
    let counted = Counted::new();
    let url = server.url();
    let room = hardship.number(64, 8..256) as usize;
    let many = room * hardship.number(4, 2..8) as usize;
    let bare = connect(&url, room).await;
    let wrapped = connect(&url, room).await;
    let telemetry = counted.recorder.telemetry();
    let producer = nats::Producer::wrap(&telemetry, wrapped.clone());
    let consumer = nats::Consumer::wrap(&telemetry, wrapped.clone());
    let [bare_subject, subject] = ["bare", "wrapped"].map(unique);
    let mut bare_orders = bare.subscribe(bare_subject.clone()).await.expect("orders");
    let mut orders = consumer.subscribe(subject.clone()).await.expect("orders");

    for number in 0..many {
        let payload = number.to_string();
        let published = bare.publish(bare_subject.clone(), payload.clone().into());
        published.await.expect("a publish");
        let published = producer.publish(subject.clone(), payload.into());
        published.await.expect("a publish");
    }
    let (mut bare_got, mut got) = (Vec::new(), Vec::new());
    for client in [&bare, &wrapped] {
        // Behind all that was published.
        let inbox = client.new_inbox();
        let mut echo = client.subscribe(inbox.clone()).await.expect("an inbox");
        client.publish(inbox, "".into()).await.expect("a publish");
        let echoed = timeout(PATIENCE, echo.next()).await;
        echoed.expect("an echo in time").expect("an echo");
    }
    while let Ok(Some(order)) = timeout(QUIET, bare_orders.next()).await {
        bare_got.push(order.payload.to_vec());
    }
    while let Ok(Some(order)) = timeout(QUIET, orders.next()).await {
        order
            .process(async |order| got.push(order.payload.to_vec()))
            .await;
    }

    let mut complaints = Vec::new();
    if bare_got != got || got.len() != room {
        complaints.push(format!(
            "{} bare, {} wrapped of {room}",
            bare_got.len(),
            got.len()
        ));
    }
    let spans = counted.spans().len();
    if spans != many + got.len() {
        complaints.push(format!(
            "{spans} spans of {many} sent and {} got",
            got.len()
        ));
    }
    Told {
        complaints,
        notes: Vec::new(),
        books: [Book::default(), Book::default()],
        spans,
        recovery: Duration::ZERO,
    }
}

/// Nothing more comes.
const QUIET: Duration = Duration::from_millis(100);
