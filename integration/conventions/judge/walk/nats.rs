//! NATS: core and JetStream.

use std::time::Duration;

use async_nats::jetstream::AckKind;
use async_nats::jetstream::consumer::{IntoConsumerConfig, pull};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{self, Stream};
use async_nats::jetstream::{self as client, Context};
use async_nats::service::ServiceExt as _;
use futures::StreamExt as _;
use integration::nats::broker::{Core, JetStream};
use integration::nats::{CLIENT_ID, PATIENCE, address, client, in_time, stream_of, subscribed};
use integration::unique;
use otel_messaging::Telemetry;
use otel_messaging::nats::{Consumer, Producer, jetstream};

use super::shared::{self, origin};
use super::{abilities, nats_failures, nats_more, policies};
use crate::model::{End, Scene};
use crate::stage::{Place, Stage};

fn place(name: &'static str) -> Place {
    let (host, port) = address();
    Place {
        name,
        system: "nats",
        server: Some((host, i64::from(port))),
        client: CLIENT_ID,
        has_logger: name == "JetStream",
    }
}

pub(super) fn producing(telemetry: &Telemetry, client: async_nats::Client) -> Producer {
    let (host, port) = address();
    Producer::wrap(telemetry, client)
        .server(&host, port)
        .client_id(CLIENT_ID)
}

pub(super) fn consuming(telemetry: &Telemetry, client: async_nats::Client) -> Consumer {
    let (host, port) = address();
    Consumer::wrap(telemetry, client)
        .server(&host, port)
        .client_id(CLIENT_ID)
}

pub(super) fn consuming_stored<T: IntoConsumerConfig>(
    telemetry: &Telemetry,
    consumer: client::consumer::Consumer<T>,
) -> jetstream::Consumer<T> {
    let (host, port) = address();
    jetstream::Consumer::wrap(telemetry, consumer)
        .server(&host, port)
        .client_id(CLIENT_ID)
}

/// A stream of all subjects below its name, and wrappers.
pub(super) struct Open {
    pub(super) context: Context,
    pub(super) stream: Stream,
    pub(super) name: String,
    pub(super) producer: jetstream::Producer,
    telemetry: Telemetry,
}

impl Open {
    pub(super) async fn with(telemetry: &Telemetry) -> Self {
        Self::by(telemetry, client::new(client().await)).await
    }

    pub(super) async fn by(telemetry: &Telemetry, context: Context) -> Self {
        let (host, port) = address();
        let name = unique("orders");
        let config = stream::Config {
            name: name.clone(),
            ..stream::Config::default()
        };
        Self {
            stream: stream_of(&context, config).await,
            producer: jetstream::Producer::wrap(telemetry, context.clone())
                .server(&host, port)
                .client_id(CLIENT_ID),
            telemetry: telemetry.clone(),
            context,
            name,
        }
    }

    pub(super) fn subject(&self, order: &str) -> String {
        format!("{}.{order}", self.name)
    }

    pub(super) async fn publish(&self, order: &str) {
        let message = PublishMessage::build().payload("two books".into());
        let published = self.producer.send_publish(self.subject(order), message);
        let ack = published.await.expect("a publish").await;
        ack.expect("an acknowledgement");
    }

    pub(super) async fn consumer(&self, filter: &str) -> jetstream::Consumer<pull::Config> {
        let config = pull::Config {
            durable_name: Some("billing".to_owned()),
            filter_subject: self.subject(filter),
            ack_wait: 4 * PATIENCE,
            ..pull::Config::default()
        };
        let consumer = self.stream.create_consumer(config).await;
        consuming_stored(&self.telemetry, consumer.expect("a consumer"))
    }
}

pub(super) async fn scenes() -> Vec<Scene> {
    let (core, jetstream) = (&place("core NATS"), &place("JetStream"));
    let mut scenes = shared::singles::<Core>(core).await;
    scenes.extend(shared::batches::<Core>(core).await);
    scenes.extend(abilities::sent_batches::<Core>(core).await);
    scenes.extend(policies::scenes::<Core>(core).await);
    scenes.extend(shared::singles::<JetStream>(jetstream).await);
    scenes.extend(shared::batches::<JetStream>(jetstream).await);
    scenes.extend(abilities::sent_batches::<JetStream>(jetstream).await);
    scenes.extend(abilities::settled::<JetStream>(jetstream).await);
    scenes.extend(policies::scenes::<JetStream>(jetstream).await);
    scenes.push(answered(core).await);
    scenes.push(served(core).await);
    scenes.push(by_a_group(core).await);
    scenes.push(received_in_batches(jetstream).await);
    scenes.push(settled_in_every_way(jetstream).await);
    scenes.push(fetched(jetstream).await);
    scenes.push(stored(jetstream).await);
    scenes.push(duplicate(jetstream).await);
    scenes.extend(Box::pin(nats_more::scenes(core, jetstream)).await);
    scenes.extend(nats_failures::scenes(core, jetstream).await);
    scenes
}

async fn answered(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let (telemetry, subject) = (stage.telemetry(), unique("stock"));
    let asking = producing(&telemetry, client().await);
    let answering = producing(&telemetry, client().await);
    let consumer = consuming(&telemetry, answering.inner().clone());
    let mut requests = consumer
        .subscribe(subject.clone())
        .await
        .expect("a subscription");
    subscribed(consumer.inner()).await;
    let respond = async {
        let request = in_time(requests.next()).await.expect("a request");
        let inbox = request.reply.clone().expect("somebody who asks");
        let answer = async |_| answering.publish(inbox.clone(), "12".into()).await;
        request.process(answer).await.expect("an answer");
        origin(&request)
    };
    let (answer, origin) = tokio::join!(asking.request(subject, "how many?".into()), respond);
    answer.expect("an answer");
    let facts = stage.facts().sent().sent().received(origin);
    drop((requests, consumer, answering, asking));
    stage.scene("request and reply", facts.processed(End::Success))
}

/// A micro-service, whose second answer is an error.
async fn served(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let (telemetry, name) = (stage.telemetry(), unique("stock"));
    let serving = client().await;
    let service = serving.service_builder().start(&name, "1.0.0").await;
    let service = service.expect("a service");
    let subject = format!("{name}.get");
    let endpoint = service.endpoint(&subject).await.expect("an endpoint");
    let mut requests = consuming(&telemetry, serving.clone()).endpoint(&subject, endpoint);
    subscribed(&serving).await;
    let asking = producing(&telemetry, client().await);
    let error = async_nats::service::error::Error {
        status: "no such book".to_owned(),
        code: 404,
    };
    let respond = async {
        let mut origins = Vec::new();
        for answer in [Ok("12".into()), Err(error)] {
            let request = in_time(requests.next()).await.expect("a request");
            let answered = request
                .process(async |request| request.respond(answer).await)
                .await;
            answered.expect("an answer");
            origins.push(origin(&request));
        }
        origins
    };
    let ask = async {
        for _ in 0..2 {
            asking
                .request(subject.clone(), "how many?".into())
                .await
                .expect("an answer");
        }
    };
    let ((), origins) = tokio::join!(ask, respond);
    let mut facts = stage
        .facts()
        .sent()
        .refused(End::failure("no such book"))
        .sent()
        .sent();
    for origin in origins {
        facts = facts.received(origin).processed(End::Success);
    }
    drop((requests, service, asking));
    stage.scene("a micro-service", facts)
}

async fn by_a_group(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let (telemetry, name) = (stage.telemetry(), unique("orders"));
    let consumer = consuming(&telemetry, client().await);
    let subscription = consumer
        .queue_subscribe(format!("{name}.*"), "billing".to_owned())
        .await;
    let mut orders = subscription.expect("a subscription");
    subscribed(consumer.inner()).await;
    let producer = producing(&telemetry, client().await);
    let published = producer
        .publish(format!("{name}.7"), "two books".into())
        .await;
    published.expect("a publish");
    let order = in_time(orders.next()).await.expect("a message");
    order.process(async |_| ()).await;
    let facts = stage.facts().sent().received(origin(&order));
    drop((order, orders, consumer, producer));
    stage.scene("by a group, of a pattern", facts.processed(End::Success))
}

async fn received_in_batches(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let open = Open::with(&stage.telemetry()).await;
    let mut facts = stage.facts();
    for order in ["7", "8", "9"] {
        open.publish(order).await;
        facts = facts.sent();
    }
    let messages = open.consumer("*").await.messages().await.expect("messages");
    let mut batches = messages.batches(3, 2 * PATIENCE);
    let batch = in_time(batches.recv())
        .await
        .expect("a batch")
        .expect("no error");
    batch.process(async |_| ()).await;
    facts = facts
        .did("receive", Some(3), End::Success)
        .did("process", Some(3), End::Success);
    for order in &batch {
        order.double_ack().await.expect("an acknowledgement");
        facts = facts.received(origin(order)).settled();
    }
    drop((batch, batches, open));
    // Each is known by a subject of its own, and all by the consumer's pattern.
    stage.scene("received in batches", facts.without_a_common_name())
}

async fn settled_in_every_way(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let open = Open::with(&stage.telemetry()).await;
    let mut messages = open.consumer("7").await.messages().await.expect("messages");
    let later = || AckKind::Nak(Some(Duration::from_secs(300)));
    let mut facts = stage.facts();
    for way in 0..7 {
        open.publish("7").await;
        let order = in_time(messages.next())
            .await
            .expect("a message")
            .expect("no error");
        let settled = match way {
            0 => order.ack().await,
            1 => order.ack_with(later()).await,
            2 => order.ack_with(AckKind::Term).await,
            3 => order.double_ack().await,
            4 => order.double_ack_with(later()).await,
            5 => order.double_ack_with(AckKind::Term).await,
            _ => order.ack_with(AckKind::Progress).await,
        };
        settled.expect("it is settled");
        facts = facts.sent().received(origin(&order));
        // Progress settles nothing.
        if way < 6 {
            facts = facts.settled();
        }
    }
    drop((messages, open));
    stage.scene("settled in every way", facts)
}

async fn fetched(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let open = Open::with(&stage.telemetry()).await;
    open.publish("7").await;
    let consumer = open.consumer("7").await;
    let fetching = consumer.fetch().max_messages(1).messages().await;
    let mut fetched = fetching.expect("messages");
    let order = in_time(fetched.next())
        .await
        .expect("a message")
        .expect("no error");
    order.process(async |_| ()).await;
    order.ack().await.expect("an acknowledgement");
    let facts = stage.facts().sent().received(origin(&order));
    drop((order, fetched, consumer, open));
    stage.scene("fetched", facts.processed(End::Success).settled())
}

/// Read out of the stream by itself: no consumer delivers it.
async fn stored(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let open = Open::with(&stage.telemetry()).await;
    open.publish("7").await;
    let consumer = consuming(&stage.telemetry(), client().await);
    let raw = open.stream.get_raw_message(1).await.expect("the message");
    let order = consumer.stored(&open.name, raw);
    order.process(async |_| ()).await;
    let facts = stage.facts().sent().received(origin(&order));
    drop((order, consumer, open));
    stage.scene("read out of a stream", facts.processed(End::Success))
}

async fn duplicate(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let open = Open::with(&stage.telemetry()).await;
    let mut facts = stage.facts();
    for _ in 0..2 {
        let message = PublishMessage::build().message_id("order-7");
        let published = open.producer.send_publish(open.subject("7"), message).await;
        published
            .expect("a publish")
            .await
            .expect("an acknowledgement");
        facts = facts.sent();
    }
    drop(open);
    stage.scene("a duplicate", facts)
}
