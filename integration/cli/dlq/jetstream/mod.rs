//! Messages that consumers of JetStream have given up.

mod told;

use std::time::Duration;

use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::stream::{Config, RetentionPolicy, Stream};
use async_nats::jetstream::{self, AckKind};
use futures::StreamExt as _;
use integration::nats::{client, header_map, in_time, received_headers, stream, stream_of};
use integration::unique;
use otel_messaging::nats::jetstream::Consumer;
use otel_messaging::testing::Recorder;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::{assert_goes_on, dlq, origin, parts, redriven};
use crate::command::command;
use crate::faults::traceparent;
use crate::nats::state;

/// A stream, and the one that keeps what the server says of its dead messages.
struct Shop {
    context: jetstream::Context,
    orders: Stream,
    advisories: Stream,
}

const GIVEN_UP_BY: &str = "billing";

impl Shop {
    /// Of three messages the first is terminated, and the second fails in all its attempts.
    async fn open(retention: RetentionPolicy) -> Self {
        let context = jetstream::new(client().await);
        let config = Config {
            name: unique("orders"),
            retention,
            ..Config::default()
        };
        let orders = stream_of(&context, config).await;
        let name = orders.cached_info().config.name.clone();
        let kept = ["MAX_DELIVERIES", "MSG_TERMINATED"];
        let kept = kept.map(|kind| format!("$JS.EVENT.ADVISORY.CONSUMER.{kind}.{name}.>"));
        let config = Config {
            name: unique("advisories"),
            subjects: kept.to_vec(),
            ..Config::default()
        };
        let advisories = stream_of(&context, config).await;
        let mut shop = Self {
            context,
            orders,
            advisories,
        };
        for number in 1..=3 {
            let traceparent = traceparent(number);
            let id = format!("order-{number}");
            let headers = [
                ("traceparent", traceparent.as_str()),
                ("note", "twice"),
                ("note", "twice"),
                ("Nats-Msg-Id", &id),
            ];
            let sent = shop.context.publish_with_headers(
                shop.subject(),
                header_map(&headers),
                "two books".into(),
            );
            sent.await
                .expect("a publish")
                .await
                .expect("an acknowledgement");
        }
        Box::pin(shop.give_up()).await;
        shop
    }

    fn name(&self) -> &str {
        &self.orders.cached_info().config.name
    }

    fn subject(&self) -> String {
        format!("{}.new", self.name())
    }

    async fn give_up(&mut self) {
        let config = pull::Config {
            durable_name: Some(GIVEN_UP_BY.to_owned()),
            max_deliver: 2,
            ..pull::Config::default()
        };
        let consumer = self
            .orders
            .create_consumer(config)
            .await
            .expect("a consumer");
        let mut messages = consumer.messages().await.expect("messages");
        let handle = async {
            while let Some(message) = messages.next().await {
                let message = message.expect("a message");
                let kind = match message.info().expect("its place").stream_sequence {
                    1 => AckKind::Term,
                    2 => AckKind::Nak(None),
                    _ => AckKind::Ack,
                };
                message.ack_with(kind).await.expect("an answer");
            }
        };
        let mut kept = self.advisories.clone();
        let told = async {
            while kept.info().await.expect("an answer").state.messages < 2 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        in_time(async {
            tokio::select! {
                () = handle => {}
                () = told => {}
            }
        })
        .await;
    }
}

const PARTS: [&str; 8] = [
    "place",
    "trace_id",
    "span_id",
    "died_in",
    "given_up_by",
    "reason",
    "attempts",
    "gone",
];

fn by_place(mut found: Vec<Value>) -> Vec<Value> {
    found.sort_by_key(|message| message["place"].to_string());
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_were_given_up_are_found_where_they_are_and_sent_again() {
    let mut shop = Shop::open(RetentionPolicy::Limits).await;
    let name = shop.name().to_owned();
    let kept = shop.advisories.cached_info().config.name.clone();
    let (orders, kept) = (format!("jetstream:{name}"), format!("jetstream:{kept}"));
    let before = (
        state(&mut shop.orders).await,
        state(&mut shop.advisories).await,
    );
    assert_eq!((before.0.0, before.1.0), (3, 2));

    let expected =
        [("terminated", 1, 1), ("max_deliveries", 2, 2)].map(|(reason, place, attempts)| {
            let (trace, span) = origin(place);
            json!({
                "place": place.to_string(), "trace_id": trace, "span_id": span, "died_in": name,
                "given_up_by": GIVEN_UP_BY, "reason": reason, "attempts": attempts, "gone": false,
            })
        });
    // By the stream that they are in, and by the one that keeps what is said of them.
    for (source, unmarked) in [(&orders, 3), (&kept, 0)] {
        let (code, found, summary) = dlq(&[source]).await;
        assert_eq!(code, Some(0));
        let found = by_place(found);
        assert_eq!(
            found[0]["destination"],
            format!("{orders}/{}", shop.subject())
        );
        let found: Vec<_> = found.iter().map(|message| parts(message, &PARTS)).collect();
        assert_eq!(found, expected);
        assert_eq!(summary["unmarked"], unmarked);
    }
    let (code, found, summary) = dlq(&["--redrive", &orders, &orders]).await;
    assert_eq!(code, Some(0));
    assert_eq!(
        found[0]["would_be_sent_to"],
        format!("{orders}/{}", shop.subject())
    );
    assert_eq!(summary["redrive"], redriven(&orders, false, 0, 0));
    assert_eq!(
        (
            state(&mut shop.orders).await,
            state(&mut shop.advisories).await
        ),
        before
    );

    // Each once, though both sources tell of it.
    let (code, _, summary) = dlq(&["--redrive", &orders, "--write", &orders, &kept]).await;
    assert_eq!(code, Some(0));
    let mut expected = redriven(&orders, true, 2, 0);
    expected["before"] = json!(2);
    assert_eq!(summary["redrive"], expected);
    let after = state(&mut shop.orders).await;
    assert_eq!((after.0, after.1), (5, before.0.1));
    assert_eq!(state(&mut shop.advisories).await, before.1);
    let recorder = Recorder::new();
    let config = pull::Config {
        deliver_policy: jetstream::consumer::DeliverPolicy::ByStartSequence { start_sequence: 4 },
        ..pull::Config::default()
    };
    let consumer = shop
        .orders
        .create_consumer(config)
        .await
        .expect("a consumer");
    let consumer = Consumer::wrap(&recorder.telemetry(), consumer);
    let mut messages = consumer.messages().await.expect("messages");
    let mut numbers = Vec::new();
    for _ in 0..2 {
        let message = in_time(messages.next())
            .await
            .expect("a message")
            .expect("a message");
        let subject = shop.subject();
        assert_eq!(
            (&*message.payload, &*message.subject),
            (b"two books".as_slice(), &*subject)
        );
        let found = received_headers(message.headers.as_ref());
        let number = (1..=2).find(|number| {
            let traceparent = traceparent(*number);
            // What is for the server is left out.
            let headers = [
                ("traceparent", traceparent.as_str()),
                ("note", "twice"),
                ("note", "twice"),
            ];
            received_headers(Some(&header_map(&headers))) == found
        });
        let number = number.expect("the headers that it had");
        numbers.push(number);
        recorder.clear();
        message.process(async |_| ()).await;
        assert_goes_on(&recorder.spans()[0], number);
    }
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_gone_is_said_and_left_out() {
    // What is terminated is deleted there, and only workers may consume.
    let shop = Shop::open(RetentionPolicy::WorkQueue).await;
    let orders = format!("jetstream:{}", shop.name());

    let (code, found, summary) = dlq(&["--redrive", &orders, "--write", &orders]).await;

    assert_eq!(code, Some(1));
    assert_eq!(summary["redrive"], redriven(&orders, true, 1, 1));
    let found = by_place(found);
    assert_eq!(found[0]["left_out"], "it is not there any more");
    assert_eq!(
        parts(&found[0], &PARTS),
        json!({
            "place": "1", "trace_id": null, "span_id": null, "died_in": shop.name(),
            "given_up_by": GIVEN_UP_BY, "reason": "terminated", "attempts": 1, "gone": true,
        })
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_given_up_from_now_on_is_heard_of() {
    let context = jetstream::new(client().await);
    let mut orders = stream(&context, "orders").await;
    let name = orders.cached_info().config.name.clone();
    let subject = format!("nats:$JS.EVENT.ADVISORY.CONSUMER.*.{name}.>");
    let mut program = command(&["dlq", "--json", "--max", "1", "--for", "60s", &subject])
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(program.stdout.take().expect("its output")).lines();
    let consumer = orders
        .create_consumer(pull::Config::default())
        .await
        .expect("a consumer");
    let mut messages = consumer.messages().await.expect("messages");
    // Until it listens.
    let dying = async {
        loop {
            let headers = header_map(&[("traceparent", &traceparent(1))]);
            let sent = context.publish_with_headers(format!("{name}.new"), headers, "".into());
            sent.await
                .expect("a publish")
                .await
                .expect("an acknowledgement");
            let message = messages
                .next()
                .await
                .expect("a message")
                .expect("a message");
            message.ack_with(AckKind::Term).await.expect("an answer");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let line = in_time(async {
        tokio::select! {
            line = lines.next_line() => line,
            () = dying => Ok(None),
        }
    })
    .await;
    let found: Value = serde_json::from_str(&line.expect("a line").expect("a line")).expect("JSON");
    assert_eq!(found["trace_id"], origin(1).0);
    assert_eq!(found["reason"], "terminated");
    assert!(program.wait().await.expect("an end").success());
    assert!(state(&mut orders).await.0 > 0);
}
