//! The other ways to publish to NATS, and to receive from it.

use async_nats::client::traits::{Publisher as _, Requester};
use async_nats::jetstream::consumer::{pull, push};
use async_nats::message::OutboundMessage;
use async_nats::{HeaderMap, Request};
use futures::StreamExt as _;
use integration::nats::{PATIENCE, client, in_time, subscribed};
use integration::unique;

use super::nats::{Open, consuming, consuming_stored, producing};
use super::shared::origin;
use crate::model::{End, Facts, Scene};
use crate::stage::{Place, Stage};

pub(super) async fn scenes(core: &Place, jetstream: &Place) -> Vec<Scene> {
    vec![
        published(core).await,
        requested(core).await,
        batched(core).await,
        pushed(jetstream).await,
        pulled(jetstream).await,
    ]
}

async fn published(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let (subject, reply) = (unique("orders"), unique("replies"));
    let producer = producing(&stage.telemetry(), client().await);
    let books = || "two books".into();
    let (to, from) = (|| subject.clone(), || reply.clone());
    let outbound = OutboundMessage {
        subject: subject.as_str().into(),
        payload: books(),
        reply: None,
        headers: None,
    };
    let results = [
        producer.publish(to(), books()).await,
        producer
            .publish_with_headers(to(), HeaderMap::new(), books())
            .await,
        producer.publish_with_reply(to(), from(), books()).await,
        producer
            .publish_with_reply_and_headers(to(), from(), HeaderMap::new(), books())
            .await,
        producer.publish_message(outbound).await,
    ];
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    let facts = results.iter().fold(stage.facts(), |facts, _| facts.sent());
    drop(producer);
    stage.scene("published in every way", facts)
}

async fn requested(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let (subject, answering) = (unique("stock"), client().await);
    let mut requests = answering
        .subscribe(subject.clone())
        .await
        .expect("a subscription");
    subscribed(&answering).await;
    let asking = producing(&stage.telemetry(), client().await);
    let answer = async {
        for _ in 0..3 {
            let request = in_time(requests.next()).await.expect("a request");
            let reply = request.reply.expect("somebody who asks");
            answering
                .publish(reply, "12".into())
                .await
                .expect("an answer");
        }
    };
    let ask = async {
        let to = || subject.clone();
        [
            asking
                .request_with_headers(to(), HeaderMap::new(), "how many?".into())
                .await,
            asking.send_request(to(), Request::new()).await,
            Requester::send_request(&asking, to(), Request::new()).await,
        ]
    };
    let (answers, ()) = tokio::join!(ask, answer);
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let facts = answers.iter().fold(stage.facts(), |facts, _| facts.sent());
    drop(asking);
    stage.scene("requested in every way", facts)
}

/// Core NATS by count and time.
async fn batched(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let (telemetry, subject) = (stage.telemetry(), unique("orders"));
    let consumer = consuming(&telemetry, client().await);
    let subscription = consumer.subscribe(subject.clone()).await;
    let mut batches = subscription
        .expect("a subscription")
        .batches(2, 2 * PATIENCE);
    subscribed(consumer.inner()).await;
    let producer = producing(&telemetry, client().await);
    for _ in 0..2 {
        let published = producer.publish(subject.clone(), "two books".into()).await;
        published.expect("a publish");
    }
    let batch = in_time(batches.recv()).await.expect("a batch");
    batch.process(async |_| ()).await;
    let facts = stage.facts().sent().sent();
    let facts = batch
        .iter()
        .fold(facts, |facts, one| facts.received(origin(one)));
    let facts = facts
        .did("receive", Some(2), End::Success)
        .did("process", Some(2), End::Success);
    drop((batch, batches, consumer, producer));
    stage.scene("received in batches", facts)
}

async fn pushed(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let open = Open::with(&stage.telemetry()).await;
    let config = push::Config {
        deliver_subject: open.context.client().new_inbox(),
        filter_subject: open.subject("7"),
        ..push::Config::default()
    };
    let consumer = open
        .stream
        .create_consumer(config)
        .await
        .expect("a consumer");
    let consumer = consuming_stored(&stage.telemetry(), consumer);
    let mut messages = consumer.messages().await.expect("messages");
    open.publish("7").await;
    let order = in_time(messages.next())
        .await
        .expect("a message")
        .expect("no error");
    order.process(async |_| ()).await;
    order.ack().await.expect("an acknowledgement");
    let facts = stage.facts().sent().received(origin(&order));
    drop((order, messages, consumer, open));
    stage.scene("pushed", facts.processed(End::Success).settled())
}

/// By an ordered consumer, in batches of the client's and in a sequence of such.
async fn pulled(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let open = Open::with(&stage.telemetry()).await;
    let config = pull::OrderedConfig {
        filter_subject: open.subject("7"),
        ..pull::OrderedConfig::default()
    };
    open.publish("7").await;
    let ordered = open
        .stream
        .create_consumer(config)
        .await
        .expect("a consumer");
    let ordered = consuming_stored(&stage.telemetry(), ordered);
    let mut messages = ordered.messages().await.expect("messages");
    let order = in_time(messages.next())
        .await
        .expect("a message")
        .expect("no error");
    order.process(async |_| ()).await;
    let mut facts = stage
        .facts()
        .sent()
        .received(origin(&order))
        .processed(End::Success);
    drop((order, messages));

    let consumer = open.consumer("7").await;
    let mut batch = consumer
        .batch()
        .max_messages(1)
        .messages()
        .await
        .expect("messages");
    let order = in_time(batch.next())
        .await
        .expect("a message")
        .expect("no error");
    facts = handled(facts, &order).await;
    open.publish("7").await;
    let mut sequence = consumer.sequence(1).expect("a sequence");
    let mut batch = in_time(sequence.next())
        .await
        .expect("a batch")
        .expect("no error");
    let order = in_time(batch.next())
        .await
        .expect("a message")
        .expect("no error");
    facts = handled(facts.sent(), &order).await;
    open.publish("7").await;
    let mut stream = consumer.stream().messages().await.expect("messages");
    let order = in_time(stream.next())
        .await
        .expect("a message")
        .expect("no error");
    facts = handled(facts.sent(), &order).await;
    drop((order, stream, batch, sequence, consumer, open));
    stage.scene("pulled in every way", facts)
}

async fn handled(
    facts: Facts,
    order: &otel_messaging::Received<async_nats::jetstream::Message>,
) -> Facts {
    order.process(async |_| ()).await;
    order.double_ack().await.expect("an acknowledgement");
    facts
        .received(origin(order))
        .processed(End::Success)
        .settled()
}
