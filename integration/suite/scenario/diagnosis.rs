//! What is counted where a context is not as it should be.

use otel_messaging::policy::{Policy, Rule};
use otel_messaging::testing::Recorder;

use super::batches::received;
use super::{header, send_bare, upstream_fields};
use crate::metrics::{problem, problems};
use crate::{Broker, Message};

/// A context that is missing or that cannot be read is counted once, where the message is processed,
/// and one that is replaced where it is sent; one that is right is not.
pub async fn what_is_wrong_with_a_context_is_counted<B: Broker>() {
    let recorder = Recorder::new();
    let broker = B::connect(&recorder.telemetry()).await;
    let [(_, traceparent), ..] = upstream_fields("01");
    let traceparent = header("traceparent", &traceparent);
    let rows = [
        (vec![], Some("missing")),
        (vec![header("traceparent", "00-7-7-01")], Some("malformed")),
        (
            vec![traceparent.clone(), header("baggage", "no equals sign")],
            Some("malformed"),
        ),
        (vec![traceparent.clone()], None),
    ];
    let forwarded = Message {
        headers: vec![traceparent],
        ..Message::new("order-7")
    };

    let mut expected = problems();
    for (headers, name) in rows {
        let orders = broker.declare("orders").await;
        send_bare(&broker, &orders, headers).await;
        let received = broker.receive(&orders).await;
        for _ in 0..2 {
            received.process(async |_| ()).await;
        }
        broker.send(&orders, &forwarded).await;
        if let Some(name) = name {
            expected = expected.of(problem(broker.processed(&orders), name), 1);
        }
        expected = expected.of(problem(broker.sent(&orders), "replaced"), 1);
    }

    expected.assert(&recorder);
}

/// Members of baggage that are not accepted take no room: by themselves and in a batch, too many of them are no problem,
/// and too many that are accepted are one.
pub async fn what_is_not_accepted_of_baggage_is_over_no_limit<B: Broker>() {
    let [(_, traceparent), ..] = upstream_fields("01");
    let too_many: Vec<_> = (0..65).map(|number| format!("m{number}=1")).collect();
    let headers = vec![
        header("traceparent", &traceparent),
        header("baggage", &too_many.join(",")),
    ];
    for (accepted, is_problem) in [("order", false), ("m*", true)] {
        let recorder = Recorder::new();
        let policy = Policy::new().rule(Rule::of("*").accept_baggage([accepted]));
        let broker = B::connect(&recorder.telemetry().policy(policy)).await;
        let orders = broker.declare("orders").await;

        send_bare(&broker, &orders, headers.clone()).await;
        broker.receive(&orders).await.process(async |_| ()).await;
        let batch = received(&broker, &orders, [headers.clone()]).await;
        batch.process(async |_| ()).await;

        let mut expected = problems();
        if is_problem {
            expected = expected.of(problem(broker.processed(&orders), "malformed"), 2);
        }
        expected.assert(&recorder);
    }
}
