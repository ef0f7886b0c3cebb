//! A subscriber that does not read as fast as others publish: the client drops what it has no room for.

use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event};
use futures::StreamExt as _;
use integration::drops::Counted;
use integration::unique;
use otel_messaging::nats;
use tokio::sync::watch;
use tokio::time::timeout;

use super::server::Server;
use crate::house::Hardship;
use crate::load::{Book, PATIENCE};
use crate::sides::Told;

/// A client with room for so many messages, and how often it had none.
async fn connect(url: &str, room: usize) -> (Client, watch::Receiver<usize>) {
    let (dropped, drops) = watch::channel(0);
    let options = ConnectOptions::new()
        .subscription_capacity(room)
        .event_callback(move |event| {
            if let Event::SlowConsumer(_) = event {
                dropped.send_modify(|count| *count += 1);
            }
            std::future::ready(())
        });
    (options.connect(url).await.expect("a connection"), drops)
}

/// Each publishes many to itself, then reads what it got: both get the same, the first ones.
pub(crate) async fn run(server: &Server, hardship: &mut Hardship) -> Told {
    let counted = Counted::new();
    let url = server.url();
    let room = hardship.number(64, 8..256) as usize;
    let many = room * hardship.number(4, 2..8) as usize;
    let (bare, bare_drops) = connect(&url, room).await;
    let (wrapped, wrapped_drops) = connect(&url, room).await;
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
    for (client, mut drops) in [(&bare, bare_drops), (&wrapped, wrapped_drops)] {
        // Behind all that was published.
        let inbox = client.new_inbox();
        let mut echo = client.subscribe(inbox.clone()).await.expect("an inbox");
        client.publish(inbox, "".into()).await.expect("a publish");
        let echoed = timeout(PATIENCE, echo.next()).await;
        echoed.expect("an echo in time").expect("an echo");
        let dropped = timeout(PATIENCE, drops.wait_for(|count| *count == many - room)).await;
        dropped.expect("they are dropped").expect("a client");
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
        books: [Book::default(), Book::default()],
        spans,
        recovery: Duration::ZERO,
    }
}

/// Nothing more comes.
const QUIET: Duration = Duration::from_millis(100);
