//! What fails on RabbitMQ, and what nobody answers for.

use integration::amqp::{connection, known};
use integration::unique;
use lapin::options::{BasicGetOptions, BasicPublishOptions};
use lapin::types::ShortString;
use lapin::{BasicProperties, Confirmation};
use otel_messaging::amqp::{Consumer, Producer, Publish};
use otel_messaging::policy::{Policy, Rule};

use super::amqp::Open;
use crate::model::{End, Scene};
use crate::stage::{Place, Stage};

pub(super) async fn scenes(place: &Place) -> Vec<Scene> {
    vec![
        returned(place).await,
        returned_in_a_batch(place).await,
        refused(place).await,
        refused_in_a_batch(place).await,
        without_confirms(place).await,
        get_failed(place).await,
    ]
}

fn mandatory() -> BasicPublishOptions {
    BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    }
}

/// The broker has no queue for it; there is no exception, for the confirm is an answer.
async fn returned(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let open = Open::with(&stage.telemetry()).await;
    let nobodys = ShortString::from(unique("nobodys"));
    let nothing = BasicProperties::default();
    let sent = open
        .producer
        .basic_publish("".into(), nobodys, mandatory(), b"two books", nothing);
    let confirmation = sent.await.expect("a publish").await.expect("a confirm");
    assert!(matches!(confirmation, Confirmation::Ack(Some(_))));
    let facts = stage.facts().unusual().refused(End::Failure(None));
    drop(open);
    stage.scene("returned", facts)
}

async fn returned_in_a_batch(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let open = Open::with(&stage.telemetry()).await;
    let nobodys = unique("nobodys");
    let messages = [open.orders.as_str(), &nobodys]
        .map(|queue| Publish::new("", queue, b"two books").options(mandatory()));
    for sent in open.producer.publish_batch(messages).await {
        sent.expect("a confirm");
    }
    let mut facts = stage
        .facts()
        .unusual()
        .without_a_common_name()
        .sent_batch(2);
    facts.refused = 1;
    if let Some(send) = facts.done.last_mut() {
        send.end = End::Failure(None);
    }
    drop(open);
    stage.scene("returned in a batch", facts)
}

/// By the broker, which closes the channel, and then by the client.
async fn refused(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let open = Open::with(&stage.telemetry()).await;
    let mut facts = stage.facts();
    for exchange in [ShortString::from(unique("missing")), ShortString::from("")] {
        let (options, nothing) = (BasicPublishOptions::default(), BasicProperties::default());
        let sent =
            open.producer
                .basic_publish(exchange, "orders".into(), options, b"two books", nothing);
        facts = match sent.await {
            Ok(confirm) => facts.refused(End::failure(confirm.await.expect_err("refused"))),
            Err(error) => facts.not_taken(End::failure(error)),
        };
    }
    drop(open);
    stage.scene("refused", facts)
}

async fn refused_in_a_batch(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let open = Open::with(&stage.telemetry()).await;
    let messages = [Publish::new(unique("missing"), "orders", b"two books")];
    let results = open.producer.publish_batch(messages).await;
    let error = results.into_iter().find_map(Result::err).expect("refused");
    let mut facts = stage.facts().sent_batch(1);
    facts.refused = 1;
    if let Some(send) = facts.done.last_mut() {
        send.end = End::failure(error);
    }
    drop(open);
    stage.scene("refused in a batch", facts)
}

async fn without_confirms(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let open = Open::with(&stage.telemetry()).await;
    let connection = connection().await;
    let channel = connection.create_channel().await.expect("a channel");
    let producer = Producer::wrap(&stage.telemetry(), known(&connection), channel);
    let (options, nothing) = (BasicPublishOptions::default(), BasicProperties::default());
    let sent = producer.basic_publish(
        "".into(),
        open.orders.clone(),
        options,
        b"two books",
        nothing,
    );
    let answer = sent.await.expect("a publish").await.expect("an answer");
    assert_eq!(answer, Confirmation::NotRequested);
    let facts = stage.facts().unusual().sent();
    drop((producer, open));
    stage.scene("without confirms", facts)
}

async fn get_failed(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let policy = Policy::new().rule(Rule::of("*").receive_spans(true));
    let open = Open::with(&stage.telemetry().policy(policy)).await;
    let getter = Consumer::wrap(&open.telemetry, &open.known, open.channel.clone());
    let missing = ShortString::from(unique("missing"));
    let got = getter.basic_get(missing, BasicGetOptions::default()).await;
    let error = got.map(drop).expect_err("no such queue");
    let facts = stage.facts().did("receive", None, End::failure(error));
    drop((getter, open));
    stage.scene("a receive that fails", facts)
}
