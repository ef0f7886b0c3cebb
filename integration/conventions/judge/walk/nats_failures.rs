//! What fails on NATS, and what nobody answers for.

use async_nats::Request;
use async_nats::jetstream::ContextBuilder;
use async_nats::jetstream::message::PublishMessage;
use futures::{FutureExt as _, StreamExt as _};
use integration::nats::{client, in_time, subscribed};
use integration::unique;
use otel_messaging::policy::{Policy, Rule};
use std::time::Duration;

use super::nats::{Open, producing};
use crate::model::{End, Scene};
use crate::stage::{Place, Stage};

pub(super) async fn scenes(core: &Place, jetstream: &Place) -> Vec<Scene> {
    vec![
        refused_by_the_client(core).await,
        to_nowhere(core).await,
        nobody_answers(core).await,
        given_up(core).await,
        refused_by_the_stream(jetstream).await,
        refused_in_a_batch(jetstream).await,
        never_published(jetstream).await,
        receive_failed(jetstream).await,
    ]
}

async fn refused_by_the_client(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let producer = producing(&stage.telemetry(), client().await);
    let too_much = vec![0; producer.inner().max_payload() + 1];
    let large = producer.publish(unique("orders"), too_much.into()).await;
    let facts = stage
        .facts()
        .not_taken(End::failure(large.expect_err("too large")));
    drop(producer);
    stage.scene("refused by the client", facts)
}

async fn to_nowhere(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let producer = producing(&stage.telemetry(), client().await);
    let nowhere = producer.publish("", "two books".into()).await;
    let end = End::failure(nowhere.expect_err("no subject"));
    drop(producer);
    let facts = stage.facts().without_a_common_name().not_taken(end);
    stage.scene("without a subject", facts)
}

async fn nobody_answers(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let (subject, silent) = (unique("stock"), client().await);
    let producer = producing(&stage.telemetry(), client().await);
    let nobody = producer.request(subject.clone(), "how many?".into()).await;
    let facts = stage
        .facts()
        .refused(End::failure(nobody.expect_err("nobody is there")));
    let _requests = silent
        .subscribe(subject.clone())
        .await
        .expect("a subscription");
    subscribed(&silent).await;
    let soon = Request::new().timeout(Some(Duration::from_millis(1)));
    let late = producer.send_request(subject, soon).await;
    let facts = facts.refused(End::failure(late.expect_err("nobody answers")));
    drop(producer);
    stage.scene("nobody answers", facts)
}

async fn given_up(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let (subject, silent) = (unique("stock"), client().await);
    let mut requests = silent
        .subscribe(subject.clone())
        .await
        .expect("a subscription");
    subscribed(&silent).await;
    let producer = producing(&stage.telemetry(), client().await);
    let asking = producer.request(subject, "how many?".into());
    // Until the request is there.
    tokio::select! {
        answer = asking => panic!("an answer: {answer:?}"),
        request = in_time(requests.next()) => assert!(request.is_some()),
    }
    let facts = stage.facts().sent();
    drop(producer);
    stage.scene("a request that is given up", facts)
}

async fn refused_by_the_stream(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let open = Open::with(&stage.telemetry()).await;
    let message = PublishMessage::build().expected_last_sequence(7);
    let published = open.producer.send_publish(open.subject("7"), message).await;
    let refused = published
        .expect("a publish")
        .await
        .expect_err("another sequence");
    let mut facts = stage.facts().refused(End::failure(refused));
    let nowhere = open
        .producer
        .publish(unique("nowhere"), "two books".into())
        .await;
    let refused = nowhere.expect("a publish").await.expect_err("no stream");
    facts = facts.refused(End::failure(refused));
    drop(open);
    stage.scene("refused by the stream", facts)
}

async fn refused_in_a_batch(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let open = Open::with(&stage.telemetry()).await;
    let messages = [
        PublishMessage::build().payload("two books".into()),
        PublishMessage::build().expected_last_sequence(7),
    ];
    let messages = messages.map(|message| (open.subject("7"), message));
    let results = open.producer.publish_batch(messages).await;
    let error = results
        .into_iter()
        .find_map(Result::err)
        .expect("one is refused");
    let mut facts = stage.facts().sent_batch(2);
    facts.refused = 1;
    if let Some(send) = facts.done.last_mut() {
        send.end = End::failure(error);
    }
    drop(open);
    stage.scene("refused in a batch", facts)
}

/// The application gave up while the client had no room for one more that is not acknowledged.
async fn never_published(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let context = ContextBuilder::new().max_ack_inflight(1);
    let open = Open::by(&stage.telemetry(), context.build(client().await)).await;
    let held = open
        .context
        .publish(open.subject("6"), "before".into())
        .await;
    let held = held.expect("room");
    let publishing = open.producer.publish(open.subject("7"), "two books".into());
    assert!(
        publishing.now_or_never().is_none(),
        "there is room for one alone"
    );
    held.await.expect("an acknowledgement");
    // It was never sent: it has a span of the attempt, and is no message that was sent.
    let facts = stage.facts().did("send", None, End::Success);
    drop(open);
    stage.scene("given up before there was room", facts)
}

async fn receive_failed(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let policy = Policy::new().rule(Rule::of("*").receive_spans(true));
    let open = Open::with(&stage.telemetry().policy(policy)).await;
    let consumer = open.consumer("7").await;
    let mut messages = consumer.messages().await.expect("messages");
    let deleting = async {
        let deleted = open.stream.delete_consumer("billing").await;
        deleted.expect("an answer");
    };
    let (received, ()) = tokio::join!(in_time(messages.next()), deleting);
    let error = received
        .expect("an item")
        .map(drop)
        .expect_err("no consumer");
    let facts = stage.facts().did("receive", None, End::failure(error));
    drop((messages, consumer, open));
    stage.scene("a receive that fails", facts)
}
