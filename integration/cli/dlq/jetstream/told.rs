//! What is said of dead messages, in streams that are made for it here.

use async_nats::jetstream::stream::{Config, RetentionPolicy, Stream};
use async_nats::jetstream::{self, Context};
use integration::nats::{client, header_map, stream_of};
use integration::unique;
use serde_json::{Value, json};

use super::super::{dlq, parts, redriven};
use crate::command::{ended, until};
use crate::faults::traceparent;
use crate::jetstream::made;
use crate::nats::state;

fn name(stream: &Stream) -> String {
    stream.cached_info().config.name.clone()
}

/// A stream that keeps what is said of these streams in one way.
async fn keeper(context: &Context, kind: &str, of: &str, retention: RetentionPolicy) -> Stream {
    let config = Config {
        name: unique("advisories"),
        subjects: vec![subject(kind, &format!("{of}.>"))],
        retention,
        ..Config::default()
    };
    stream_of(context, config).await
}

fn subject(kind: &str, of: &str) -> String {
    format!("$JS.EVENT.ADVISORY.CONSUMER.{kind}.{of}")
}

fn advisory(stream: &str, sequence: u64) -> String {
    json!({ "stream": stream, "consumer": "billing", "stream_seq": sequence, "deliveries": 2 })
        .to_string()
}

async fn publish(context: &Context, subject: String, number: u8, payload: String) {
    let headers = header_map(&[("traceparent", &traceparent(number))]);
    let sent = context.publish_with_headers(subject, headers, payload.into());
    let acknowledged = sent.await.expect("a publish").await;
    acknowledged.expect("an acknowledgement");
}

/// Says of a message that it is dead, on a subject that may name another stream.
async fn tell(context: &Context, kind: &str, of: &str, told: String) {
    let sent = context.publish(subject(kind, &format!("{of}.billing")), told.into());
    let acknowledged = sent.await.expect("a publish").await;
    acknowledged.expect("an acknowledgement");
}

fn places(found: &[Value]) -> Vec<Value> {
    let names = ["destination", "place", "gone"];
    found.iter().map(|message| parts(message, &names)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_again_meanwhile_is_not_read() {
    let context = jetstream::new(client().await);
    let orders = name(&made(&context, RetentionPolicy::Limits).await);
    let limits = RetentionPolicy::Limits;
    keeper(&context, "MAX_DELIVERIES", &orders, limits).await;
    let mut terminated = keeper(&context, "MSG_TERMINATED", &orders, limits).await;
    // Sent to those that are read later, the first says of the third that it is dead.
    for (number, payload) in [
        (1, advisory(&orders, 3)),
        (2, String::new()),
        (3, String::new()),
    ] {
        publish(&context, format!("{orders}.new"), number, payload).await;
    }
    tell(&context, "MAX_DELIVERIES", &orders, advisory(&orders, 1)).await;
    tell(&context, "MSG_TERMINATED", &orders, advisory(&orders, 2)).await;

    let to = subject("MSG_TERMINATED", &format!("{orders}.again"));
    let to = format!("jetstream:{}/{to}", name(&terminated));
    let source = format!("jetstream:{orders}");
    let (code, found, summary) = dlq(&["--redrive", &to, "--write", &source]).await;

    assert_eq!(code, Some(0));
    let expected = [1, 2].map(|place| {
        let destination = format!("{source}/{orders}.new");
        json!({ "destination": destination, "place": place.to_string(), "gone": false })
    });
    assert_eq!(places(&found), expected);
    assert_eq!(summary["redrive"], redriven(&to, true, 2, 0));
    assert_eq!(state(&mut terminated).await, (3, vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_of_work_queues_are_read_for_dead_messages_and_lose_nothing() {
    let context = jetstream::new(client().await);
    let mut orders = made(&context, RetentionPolicy::WorkQueue).await;
    let stream = name(&orders);
    let source = format!("jetstream:{stream}");
    for number in 1..=2 {
        publish(&context, format!("{stream}.new"), number, String::new()).await;
    }
    let unknown = format!("{source}: nothing is known of its dead messages");
    let (code, _, error) = ended(&["dlq", &source]).await;
    assert_eq!(code, Some(0));
    assert!(error.contains(&unknown), "{error}");

    for retention in [RetentionPolicy::WorkQueue, RetentionPolicy::Interest] {
        let mut keeper = keeper(&context, "MSG_TERMINATED", &stream, retention).await;
        if retention == RetentionPolicy::Interest {
            let billing = jetstream::consumer::pull::Config {
                durable_name: Some("billing".to_owned()),
                ..Default::default()
            };
            keeper.create_consumer(billing).await.expect("a consumer");
        }
        tell(&context, "MSG_TERMINATED", &stream, advisory(&stream, 2)).await;
        let before = (state(&mut orders).await, state(&mut keeper).await);
        assert_eq!((before.0.0, before.1.0), (2, 1));
        let kept = format!("jetstream:{}", name(&keeper));
        for (source, unmarked) in [(&source, 2), (&kept, 0)] {
            let (code, found, summary) = dlq(&[source]).await;
            assert_eq!(code, Some(0));
            let destination = format!("jetstream:{stream}/{stream}.new");
            let expected = json!({ "destination": destination, "place": "2", "gone": false });
            assert_eq!(places(&found), [expected], "{source} of {retention:?}");
            assert_eq!(summary["unmarked"], unmarked);
        }
        let (_, _, error) = ended(&["dlq", &source]).await;
        assert_eq!(error, "");
        let (_, _, summary) = dlq(&["--unmarked", &source]).await;
        assert_eq!(summary["dead"], 3);
        assert_eq!((state(&mut orders).await, state(&mut keeper).await), before);
        context
            .delete_stream(name(&keeper))
            .await
            .expect("it is deleted");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_cannot_be_asked_ends_no_listing() {
    let context = jetstream::new(client().await);
    let orders = name(&made(&context, RetentionPolicy::Limits).await);
    let keeper = keeper(&context, "MSG_TERMINATED", &orders, RetentionPolicy::Limits).await;
    let kept = format!("jetstream:{}", name(&keeper));
    publish(&context, format!("{orders}.new"), 1, String::new()).await;
    let absent = unique("absent");
    let strange = ["a b", "a.b", "a\r\nb", &absent];
    for sequence in 1..=4 {
        for stream in strange {
            tell(
                &context,
                "MSG_TERMINATED",
                &orders,
                advisory(stream, sequence),
            )
            .await;
        }
    }
    tell(&context, "MSG_TERMINATED", &orders, advisory(&orders, 1)).await;

    let (code, found, _) = dlq(&[&kept]).await;
    assert_eq!((code, found.len()), (Some(0), 17));
    let mut expected = Vec::new();
    for sequence in 1..=4 {
        expected.extend(strange.map(|stream| {
            let place = sequence.to_string();
            json!({ "destination": format!("jetstream:{stream}"), "place": place, "gone": false })
        }));
    }
    let last = format!("jetstream:{orders}/{orders}.new");
    expected.push(json!({ "destination": last, "place": "1", "gone": false }));
    assert_eq!(places(&found), expected);
    let (_, _, error) = ended(&["dlq", &kept]).await;
    assert_eq!(error.lines().count(), strange.len(), "{error}");
    let of_absent =
        format!("jetstream:{absent} 1: cannot be looked up: the stream cannot be found");
    assert!(error.contains(&of_absent), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_gone_may_have_had_any_subject() {
    let context = jetstream::new(client().await);
    let orders = made(&context, RetentionPolicy::Limits).await;
    let stream = name(&orders);
    keeper(&context, "MSG_TERMINATED", &stream, RetentionPolicy::Limits).await;
    for (number, part) in [(1, "new"), (2, "paid"), (3, "new")] {
        publish(&context, format!("{stream}.{part}"), number, String::new()).await;
        let told = advisory(&stream, number.into());
        tell(&context, "MSG_TERMINATED", &stream, told).await;
    }
    orders.delete_message(1).await.expect("it is deleted");

    let (code, found, _) = dlq(&[&format!("jetstream:{stream}/{stream}.new")]).await;

    assert_eq!(code, Some(0));
    let expected = [
        json!({ "destination": format!("jetstream:{stream}"), "place": "1", "gone": true }),
        json!({
            "destination": format!("jetstream:{stream}/{stream}.new"), "place": "3", "gone": false,
        }),
    ];
    assert_eq!(places(&found), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_the_number_of_a_dead_message_since_its_stream_was_made_again_is_not_dead() {
    let context = jetstream::new(client().await);
    let stream = name(&made(&context, RetentionPolicy::Limits).await);
    let keeper = keeper(&context, "MSG_TERMINATED", &stream, RetentionPolicy::Limits).await;
    let kept = format!("jetstream:{}", name(&keeper));
    publish(&context, format!("{stream}.new"), 1, String::new()).await;
    tell(&context, "MSG_TERMINATED", &stream, advisory(&stream, 1)).await;
    let (_, found, _) = dlq(&[&kept]).await;
    assert_eq!(found[0]["gone"], false);

    // It is another one as soon as it is so much later that no clock can be the reason.
    let mut found = Vec::new();
    until(async || {
        let deleted = context.delete_stream(&stream).await;
        deleted.expect("it is deleted");
        let again = Config {
            name: stream.clone(),
            ..Config::default()
        };
        stream_of(&context, again).await;
        publish(&context, format!("{stream}.new"), 2, String::new()).await;
        found = dlq(&[&kept]).await.1;
        found[0]["gone"] == true
    })
    .await;
    let expected =
        json!({ "destination": format!("jetstream:{stream}"), "place": "1", "gone": true });
    assert_eq!(places(&found), [expected]);
    assert_eq!(found[0]["trace_id"], Value::Null);
}
