//! Scenes for any [`Broker`], of what a policy or other settings change.

use integration::{Broker, Message};
use opentelemetry::trace::TraceId;
use otel_messaging::policy::{Incoming, Parent, Record, Rule};
use otel_messaging::{Received, Telemetry};

use super::shared::{handled, policy, traceparent};
use crate::model::{End, Facts, Scene};
use crate::stage::{Place, Stage};

/// A message that is processed; the settings are such that nothing else is to be known.
async fn plainly<B: Broker>(
    place: &Place,
    name: &str,
    set: impl FnOnce(Telemetry) -> Telemetry,
    known: impl FnOnce(Facts) -> Facts,
) -> Scene {
    let process =
        async |_: &B, _: &str, _: &Stage, received: &Received<B::Message>, facts: Facts| {
            received.process(async |_| ()).await;
            known(facts.processed(End::Success))
        };
    handled(place, name, set, process).await
}

fn all() -> Rule {
    Rule::of("*")
}

/// One receive operation too, which has a span by the policy.
pub(crate) fn and_received(facts: Facts) -> Facts {
    facts.did("receive", None, End::Success)
}

fn without_spans(mut facts: Facts) -> Facts {
    for one in &mut facts.done {
        one.has_span = false;
    }
    facts
}

fn without_anything(facts: Facts) -> Facts {
    Facts {
        done: Vec::new(),
        sent: 0,
        consumed: 0,
        origins: Vec::new(),
        ..facts
    }
}

fn without_origins(mut facts: Facts) -> Facts {
    facts.origins.clear();
    facts
}

pub(crate) async fn scenes<B: Broker>(place: &Place) -> Vec<Scene> {
    let same = |facts: Facts| facts;
    let one_too_many = |facts| Facts {
        is_one_too_many: true,
        ..facts
    };
    let opted_in = all()
        .unregistered_attributes(true)
        .capture_headers(["note"])
        .time_in_queue(true)
        .lag(true);
    let mut scenes = vec![
        plainly::<B>(
            place,
            "with receive spans",
            policy(all().receive_spans(true)),
            and_received,
        )
        .await,
        plainly::<B>(
            place,
            "propagated only",
            policy(all().record(Record::PropagateOnly)),
            without_spans,
        )
        .await,
        plainly::<B>(
            place,
            "off",
            policy(all().record(Record::Off)),
            without_anything,
        )
        .await,
        plainly::<B>(
            place,
            "behind a template",
            policy(all().template("orders-{id}")),
            same,
        )
        .await,
        plainly::<B>(
            place,
            "behind an empty template",
            policy(all().template("")),
            same,
        )
        .await,
        plainly::<B>(
            place,
            "with all that is opt-in",
            policy(opted_in),
            Facts::unusual,
        )
        .await,
        plainly::<B>(
            place,
            "with partitions on metrics",
            policy(all().partition_on_metrics(true)),
            same,
        )
        .await,
        plainly::<B>(
            place,
            "without keys",
            policy(all().message_key(false)),
            same,
        )
        .await,
        plainly::<B>(
            place,
            "linked only",
            policy(all().incoming(Incoming::LinkOnly)),
            same,
        )
        .await,
        plainly::<B>(
            place,
            "ignored",
            policy(all().incoming(Incoming::Ignore)),
            without_origins,
        )
        .await,
        plainly::<B>(place, "as a root", policy(all().parent(Parent::Root)), same).await,
        plainly::<B>(
            place,
            "one name too many",
            |one| one.max_destination_names(0),
            one_too_many,
        )
        .await,
    ];
    scenes.push(kept::<B>(place).await);
    scenes
}

/// A context that the user put on the message.
async fn kept<B: Broker>(place: &Place) -> Scene {
    let stage = Stage::at(place);
    let broker = B::connect(&stage.telemetry().keep_existing_context(true)).await;
    let orders = broker.declare("orders").await;
    let order = Message {
        headers: vec![traceparent(7)],
        ..Message::new("order-7")
    };
    broker.send(&orders, &order).await;
    let received = broker.receive(&orders).await;
    received.process(async |_| ()).await;
    let origin = super::shared::origin(&received);
    assert_ne!(origin.0, TraceId::INVALID, "it is still there");
    let facts = stage
        .facts()
        .sent()
        .received(origin)
        .processed(End::Success);
    drop((received, broker));
    stage.scene("with a context that is kept", facts)
}
