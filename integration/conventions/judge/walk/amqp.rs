//! RabbitMQ.

use futures::StreamExt as _;
use futures::channel::mpsc;
use integration::amqp::{
    CLIENT_ID, PATIENCE, Rabbit, confirming, connection, consume, known, queue, url,
};
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicGetOptions, BasicNackOptions, BasicPublishOptions,
    BasicRejectOptions, QueueDeclareOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::uri::AMQPUri;
use lapin::{BasicProperties, Channel};
use otel_messaging::amqp::{ConnectionInfo, Consumer, DeliveryResult, Producer, Publish};
use otel_messaging::policy::{Policy, Rule};
use otel_messaging::{Received, Telemetry};
use tokio::time::timeout;

use super::shared::{self, NoStock, origin};
use super::{abilities, amqp_failures, policies};
use crate::model::{End, Facts, Scene};
use crate::names::PROCESS_DURATION;
use crate::stage::{Place, Stage};

fn place() -> Place {
    let uri: AMQPUri = url().parse().expect("a URI");
    Place {
        name: "RabbitMQ",
        system: "rabbitmq",
        client: CLIENT_ID,
        server: Some((uri.authority.host, i64::from(uri.authority.port))),
        has_logger: true,
    }
}

/// A channel with wrappers, and a queue.
pub(super) struct Open {
    pub(super) channel: Channel,
    pub(super) known: ConnectionInfo,
    pub(super) telemetry: Telemetry,
    pub(super) producer: Producer,
    pub(super) orders: ShortString,
}

impl Open {
    pub(super) async fn with(telemetry: &Telemetry) -> Self {
        let connection = connection().await;
        let channel = confirming(&connection).await;
        let known = known(&connection);
        Self {
            producer: Producer::wrap(telemetry, &known, channel.clone()),
            orders: queue(&channel, "orders").await,
            telemetry: telemetry.clone(),
            channel,
            known,
        }
    }

    pub(super) async fn consumer(&self, queue: &ShortString) -> Consumer {
        let consumer = consume(&self.channel, queue).await;
        Consumer::wrap(&self.telemetry, &self.known, consumer)
    }

    pub(super) async fn publish(&self, queue: &ShortString, properties: BasicProperties) {
        let options = BasicPublishOptions::default();
        let sent = self.producer.basic_publish(
            "".into(),
            queue.clone(),
            options,
            b"two books",
            properties,
        );
        sent.await.expect("a publish").await.expect("a confirm");
    }

    pub(super) async fn publish_order(&self) {
        self.publish(&self.orders, BasicProperties::default()).await;
    }
}

pub(super) async fn next(consumer: &mut Consumer) -> Received<Delivery> {
    let next = timeout(PATIENCE, consumer.next()).await;
    next.expect("in time")
        .expect("a delivery")
        .expect("no error")
}

pub(super) async fn scenes() -> Vec<Scene> {
    let place = &place();
    let mut scenes = shared::singles::<Rabbit>(place).await;
    scenes.extend(shared::batches::<Rabbit>(place).await);
    scenes.extend(abilities::sent_batches::<Rabbit>(place).await);
    scenes.extend(abilities::settled::<Rabbit>(place).await);
    scenes.extend(policies::scenes::<Rabbit>(place).await);
    scenes.push(received_in_batches(place).await);
    scenes.push(got(place).await);
    scenes.push(nacked_and_rejected(place).await);
    scenes.push(named_by_the_server(place).await);
    scenes.push(temporary(place).await);
    scenes.push(of_several_keys(place).await);
    scenes.push(delegated(place).await);
    scenes.push(answered(place).await);
    scenes.push(dropped_confirm(place).await);
    scenes.extend(amqp_failures::scenes(place).await);
    scenes
}

fn received(facts: Facts, batch: &[Received<Delivery>]) -> Facts {
    batch
        .iter()
        .fold(facts, |facts, one| facts.received(origin(one)))
}

async fn received_in_batches(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let open = Open::with(&stage.telemetry()).await;
    for _ in 0..3 {
        open.publish_order().await;
    }
    let mut batches = open.consumer(&open.orders).await.batches(3, 2 * PATIENCE);
    let batch = batches.recv().await.expect("a batch").expect("no error");
    batch.process(async |_| ()).await;
    let last = batch.last().expect("a message");
    let acked = last.ack(BasicAckOptions { multiple: true }).await;
    assert!(acked.expect("an answer"));
    let facts = received(stage.facts().sent().sent().sent(), &batch)
        .did("receive", Some(3), End::Success)
        .did("process", Some(3), End::Success)
        .settled();
    drop((batch, batches, open));
    stage.scene("received in batches", facts)
}

async fn got(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let policy = Policy::new().rule(Rule::of("*").receive_spans(true));
    let open = Open::with(&stage.telemetry().policy(policy)).await;
    open.publish_order().await;
    let getter = Consumer::wrap(&open.telemetry, &open.known, open.channel.clone());
    let got = getter
        .basic_get(open.orders.clone(), BasicGetOptions::default())
        .await;
    let order = got.expect("an answer").expect("a message");
    order.process(async |_| ()).await;
    let acked = order.ack(BasicAckOptions::default()).await;
    assert!(acked.expect("an answer"));
    let facts = stage.facts().sent().received(origin(&order));
    let facts = policies::and_received(facts)
        .processed(End::Success)
        .settled();
    drop((order, getter, open));
    stage.scene("asked for", facts)
}

/// What comes again after that is out of the ordinary.
async fn nacked_and_rejected(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let open = Open::with(&stage.telemetry()).await;
    open.publish_order().await;
    let mut consumer = open.consumer(&open.orders).await;
    let mut facts = stage.facts().sent().unusual();
    let order = next(&mut consumer).await;
    let _ = order.process(async |_| Err::<(), _>(NoStock)).await;
    let requeue = BasicNackOptions {
        requeue: true,
        ..BasicNackOptions::default()
    };
    assert!(order.nack(requeue).await.expect("an answer"));
    let failed = End::failure(NoStock);
    facts = facts
        .received(origin(&order))
        .processed(failed.clone())
        .settled();
    let again = next(&mut consumer).await;
    let _ = again.process(async |_| Err::<(), _>(NoStock)).await;
    let rejected = again.reject(BasicRejectOptions::default()).await;
    assert!(rejected.expect("an answer"));
    // Settled before, which is no error.
    let twice = again.ack(BasicAckOptions::default()).await;
    assert!(!twice.expect("an answer"));
    facts = facts
        .received(origin(&again))
        .processed(failed)
        .settled()
        .settled();
    drop((order, again, consumer, open));
    stage.scene("nacked and rejected", facts)
}

async fn named_by_the_server(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let open = Open::with(&stage.telemetry()).await;
    let options = QueueDeclareOptions {
        exclusive: true,
        ..QueueDeclareOptions::default()
    };
    let queue = open
        .channel
        .queue_declare("".into(), options, FieldTable::default());
    let queue = queue.await.expect("a queue").name().clone();
    open.publish(&queue, BasicProperties::default()).await;
    let mut consumer = open.consumer(&queue).await;
    let order = next(&mut consumer).await;
    order.process(async |_| ()).await;
    assert!(
        order
            .ack(BasicAckOptions::default())
            .await
            .expect("an answer")
    );
    let facts = stage.facts().sent().received(origin(&order));
    drop((order, consumer, open));
    stage.scene(
        "a queue that the server named",
        facts.processed(End::Success).settled(),
    )
}

async fn temporary(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let open = Open::with(&stage.telemetry()).await;
    open.publish_order().await;
    let mut consumer = open.consumer(&open.orders).await.temporary_queue();
    let order = next(&mut consumer).await;
    order.process(async |_| ()).await;
    let facts = stage.facts().sent().received(origin(&order));
    drop((order, consumer, open));
    stage.scene(
        "a queue that is called temporary",
        facts.processed(End::Success),
    )
}

/// One exchange, a routing key for each message: the exchange is what they have in common.
async fn of_several_keys(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let open = Open::with(&stage.telemetry()).await;
    for key in ["walk.a", "walk.b"] {
        let bound = open.channel.queue_bind(
            open.orders.clone(),
            "amq.direct".into(),
            format!("{}.{key}", open.orders).into(),
            lapin::options::QueueBindOptions::default(),
            FieldTable::default(),
        );
        bound.await.expect("a binding");
    }
    let messages = ["walk.a", "walk.b"]
        .map(|key| Publish::new("amq.direct", format!("{}.{key}", open.orders), b"two books"));
    for sent in open.producer.publish_batch(messages).await {
        sent.expect("a confirm");
    }
    let mut batches = open.consumer(&open.orders).await.batches(2, 2 * PATIENCE);
    let batch = batches.recv().await.expect("a batch").expect("no error");
    batch.process(async |_| ()).await;
    let facts = received(stage.facts().sent_batch(2), &batch)
        .did("receive", Some(2), End::Success)
        .did("process", Some(2), End::Success);
    drop((batch, batches, open));
    stage.scene("a batch of several routing keys", facts)
}

async fn delegated(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let open = Open::with(&stage.telemetry()).await;
    open.publish_order().await;
    let consumer = Consumer::wrap(&open.telemetry, &open.known, open.channel.clone());
    let consuming = consumer.basic_consume(
        open.orders.clone(),
        "".into(),
        BasicConsumeOptions::default(),
        FieldTable::default(),
    );
    let consumer = consuming.await.expect("a consumer");
    let (seen, mut done) = mpsc::unbounded();
    struct Ended(mpsc::UnboundedSender<crate::model::Id>, crate::model::Id);
    impl Drop for Ended {
        fn drop(&mut self) {
            let _ = self.0.unbounded_send(self.1);
        }
    }
    consumer.set_delegate(move |delivery: DeliveryResult| {
        let seen = seen.clone();
        async move {
            let Some(order) = delivery.map_err(|_| NoStock)? else {
                return Ok(());
            };
            let _ended = Ended(seen, origin(&order));
            Err(NoStock)
        }
    });
    let origin = timeout(PATIENCE, done.next())
        .await
        .expect("in time")
        .expect("a delivery");
    // It is measured behind the delegate, last of all.
    while !stage.has_measured(PROCESS_DURATION) {
        tokio::task::yield_now().await;
    }
    let facts = stage.facts().sent().received(origin);
    let facts = facts.processed(End::failure(NoStock));
    drop((consumer, open));
    stage.scene("by a delegate", facts)
}

async fn answered(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let open = Open::with(&stage.telemetry()).await;
    let replies = queue(&open.channel, "replies").await;
    let id = ShortString::from("request-7");
    let asking = BasicProperties::default()
        .with_reply_to(replies.clone())
        .with_message_id("order-7".into())
        .with_correlation_id(id.clone());
    open.publish(&open.orders, asking).await;
    let request = next(&mut open.consumer(&open.orders).await).await;
    let answer = BasicProperties::default().with_correlation_id(id);
    request
        .process(async |_| open.publish(&replies, answer).await)
        .await;
    let reply = next(&mut open.consumer(&replies).await).await;
    reply.process(async |_| ()).await;
    let facts = stage.facts().sent().sent();
    let facts = facts.received(origin(&request)).received(origin(&reply));
    drop((request, reply, open));
    let done = facts.processed(End::Success).processed(End::Success);
    stage.scene("request and reply", done)
}

/// Nobody knows what the broker said.
async fn dropped_confirm(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let open = Open::with(&stage.telemetry()).await;
    let options = BasicPublishOptions::default();
    let nothing = BasicProperties::default();
    let sent = open.producer.basic_publish(
        "".into(),
        open.orders.clone(),
        options,
        b"two books",
        nothing,
    );
    drop(sent.await.expect("a publish"));
    let facts = stage.facts().sent();
    drop(open);
    stage.scene("a confirm that is given up", facts)
}
