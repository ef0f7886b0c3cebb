//! Scenes for brokers whose clients send many messages under one call, or settle each by a call.

use integration::{BatchSender, Header, Message, Settler};
use otel_messaging::Telemetry;
use otel_messaging::policy::{Policy, Rule};

use super::shared::{origin, policy, traceparent};
use crate::model::{End, Facts, Scene};
use crate::stage::{Place, Stage};

/// Messages that are sent under one call.
async fn sent_together<B: BatchSender>(
    place: &Place,
    name: &str,
    set: impl FnOnce(Telemetry) -> Telemetry,
    headers: impl Fn(usize) -> Vec<Header>,
    sent: impl FnOnce(Facts) -> Facts,
) -> Scene {
    let stage = Stage::at(place);
    let broker = B::connect(&set(stage.telemetry())).await;
    let orders = broker.declare("orders").await;
    let messages: Vec<_> = (0..3)
        .map(|number| Message {
            headers: headers(number),
            ..Message::new("order-7")
        })
        .collect();
    broker.send_batch(&orders, &messages).await;
    let mut facts = sent(stage.facts());
    for _ in &messages {
        facts = facts.received(origin(&broker.receive(&orders).await));
    }
    drop(broker);
    stage.scene(name, facts)
}

pub(crate) async fn sent_batches<B: BatchSender>(place: &Place) -> Vec<Scene> {
    let alone = |mut facts: Facts| {
        facts.sent += 3;
        facts.did("send", Some(3), End::Success)
    };
    let without = policy(Rule::of("*").create_spans(false));
    let keeping = |telemetry: Telemetry| {
        let rule = Rule::of("*").create_spans(false);
        telemetry
            .keep_existing_context(true)
            .policy(Policy::new().rule(rule))
    };
    let none = |_| Vec::new();
    let mixed = |number| match number {
        0 => vec![traceparent(number)],
        _ => Vec::new(),
    };
    vec![
        sent_together::<B>(
            place,
            "sent together",
            |one| one,
            none,
            |facts| facts.sent_batch(3),
        )
        .await,
        sent_together::<B>(
            place,
            "sent together without create spans",
            without,
            none,
            alone,
        )
        .await,
        sent_together::<B>(
            place,
            "sent together with contexts that are kept",
            keeping,
            |number| vec![traceparent(number)],
            alone,
        )
        .await,
        sent_together::<B>(
            place,
            "sent together, one with a context that is kept",
            keeping,
            mixed,
            alone,
        )
        .await,
    ]
}

pub(crate) async fn settled<B: Settler>(place: &Place) -> Vec<Scene> {
    let mut scenes = Vec::new();
    for is_processed in [true, false] {
        let stage = Stage::at(place);
        let broker = B::connect(&stage.telemetry()).await;
        let orders = broker.declare("orders").await;
        broker.send(&orders, &Message::new("order-7")).await;
        let received = broker.receive_unsettled(&orders).await;
        let mut facts = stage.facts().sent().received(origin(&received));
        if is_processed {
            received.process(async |_| ()).await;
            facts = facts.processed(End::Success);
        }
        broker.settle(&received).await;
        drop((received, broker));
        let name = ["settled without processing", "settled"];
        let name = name.get(usize::from(is_processed)).expect("one of two");
        scenes.push(stage.scene(name, facts.settled()));
    }
    scenes
}
