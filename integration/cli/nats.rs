//! Subjects and streams.

use async_nats::header::HeaderName;
use async_nats::{HeaderMap, HeaderValue, jetstream};
use futures::{StreamExt as _, TryStreamExt as _};
use integration::nats::{client, header_map, stream};
use integration::unique;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

use crate::command::{command, ended, expected, json, remarks, summary};
use crate::faults::{WITH_CONTEXT, faults, traceparent};

fn map(headers: &[(&str, Vec<u8>)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name: HeaderName = name.parse().expect("a name");
        let text = str::from_utf8(value).expect("a text");
        let value: HeaderValue = text.parse().expect("a value");
        map.append(name, value);
    }
    map
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_in_a_stream_are_found_and_no_consumer_is_left() {
    let client = client().await;
    let context = jetstream::new(client);
    let mut orders = stream(&context, "orders").await;
    let stream_name = orders.cached_info().config.name.clone();
    let subject = format!("{stream_name}.new");
    let (messages, mut said) = faults();
    for message in &messages {
        let sent = context.publish_with_headers(subject.clone(), map(message), "two books".into());
        sent.await
            .expect("a publish")
            .await
            .expect("an acknowledgement");
    }
    // Two values of one name; and what an old server makes of a header.
    let two = [
        ("traceparent", &*traceparent(1)),
        ("traceparent", &*traceparent(2)),
    ];
    let renamed = [("Xraceparent", &*traceparent(3))];
    for headers in [header_map(&two), header_map(&renamed)] {
        let sent = context.publish_with_headers(subject.clone(), headers, "two books".into());
        sent.await
            .expect("a publish")
            .await
            .expect("an acknowledgement");
    }
    let durable = jetstream::consumer::pull::Config {
        durable_name: Some("billing".to_owned()),
        ..Default::default()
    };
    orders.create_consumer(durable).await.expect("a consumer");
    let before = state(&mut orders).await;
    assert_eq!(
        before,
        (
            messages.len() as u64 + 2,
            vec![("billing".to_owned(), 0, 0)]
        )
    );

    let scanned = json(&["scan", "--json", &format!("jetstream:{stream_name}")]).await;

    let name = format!("jetstream:{stream_name}/{subject}");
    said.extend([("conflicting traceparent", 1), ("renamed traceparent", 1)]);
    assert_eq!(remarks(&scanned, &name), expected(&said));
    assert_eq!(summary(&scanned, &name)["with_context"], WITH_CONTEXT + 2);
    assert!(summary(&scanned, &name)["age_p99_ms"].is_u64());
    let last = json(&["scan", "--json", "--last", "2", &name]).await;
    assert_eq!(summary(&last, &name)["messages"], 2);
    assert_eq!(state(&mut orders).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_that_breaks_between_subjects_is_seen() {
    let client = client().await;
    let context = jetstream::new(client);
    let orders = stream(&context, "orders").await;
    let stream_name = orders.cached_info().config.name.clone();
    let [new, paid] = ["new", "paid"].map(|part| format!("{stream_name}.{part}"));
    let [own, other] = [21, 22].map(traceparent);
    let unsampled = format!("{}00", &traceparent(23)[..53]);
    let lost = format!("00-{}-00000000000000aa-01", &traceparent(23)[3..35]);
    let large = "x".repeat(5_000);
    let sent = [
        (&new, header_map(&[("traceparent", &own), ("ce-id", "7")])),
        (&new, header_map(&[("traceparent", &unsampled)])),
        (&paid, header_map(&[("traceparent", &own)])),
        (
            &paid,
            header_map(&[("traceparent", &lost), ("note", &large)]),
        ),
        (
            &paid,
            header_map(&[("traceparent", &other), ("ce-id", "7")]),
        ),
    ];
    for (subject, headers) in sent {
        let sent = context.publish_with_headers(subject.clone(), headers, "two books".into());
        sent.await
            .expect("a publish")
            .await
            .expect("an acknowledgement");
    }

    let stream = format!("jetstream:{stream_name}");
    let scanned = json(&["scan", "--json", "--max-bytes", "4000", &stream]).await;
    let [of_new, of_paid] = [&new, &paid].map(|subject| format!("{stream}/{subject}"));
    assert_eq!(remarks(&scanned, &of_new), []);
    let said = [
        ("oversized", 1),
        ("restarted", 1),
        ("sampled_changed", 1),
        ("stale", 1),
    ];
    assert_eq!(remarks(&scanned, &of_paid), expected(&said));
    let drawn = json(&["trace", &own[3..35], "--format", "json", &stream]).await;
    let breaks = drawn["hops"].as_array().expect("hops").iter();
    let breaks: Vec<_> = breaks.map(|hop| hop["breaks"] == true).collect();
    assert_eq!(breaks, [false, false, true]);
}

/// Messages of a stream; its consumers, what they have delivered, and what they wait to be acknowledged.
pub(crate) async fn state(
    stream: &mut jetstream::stream::Stream,
) -> (u64, Vec<(String, u64, usize)>) {
    let messages = stream.info().await.expect("an answer").state.messages;
    let consumers: Vec<_> = stream.consumers().try_collect().await.expect("consumers");
    let consumers = consumers.into_iter();
    let consumers = consumers.map(|info| {
        (
            info.name,
            info.delivered.consumer_sequence,
            info.num_ack_pending,
        )
    });
    (messages, consumers.collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_published_reaches_the_tap_and_those_who_share_it() {
    let client = client().await;
    let subject = unique("orders");
    let mut workers = client
        .queue_subscribe(subject.clone(), "billing".to_owned())
        .await
        .expect("a subscription");
    let name = format!("nats:{subject}");
    let mut tap = command(&["tap", "--json", "--max", "1", &name])
        .spawn()
        .expect("it starts");
    let headers = map(&[("Traceparent", traceparent(1).into_bytes())]);
    let mut lines = BufReader::new(tap.stdout.take().expect("its output")).lines();
    let mut sent = 0_u64;
    // Until it listens.
    let line = loop {
        let publish = client.publish_with_headers(subject.clone(), headers.clone(), "".into());
        publish.await.expect("a publish");
        sent += 1;
        // The worker has every single one, also while the tap listens.
        workers.next().await.expect("a message");
        let wait = std::time::Duration::from_millis(20);
        if let Ok(line) = tokio::time::timeout(wait, lines.next_line()).await {
            break line.expect("a line").expect("a line");
        }
    };
    let told: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(told["destination"], name, "after {sent}");
    assert_eq!(told["trace_id"], traceparent(1)[3..35]);
    assert_eq!(
        told["remarks"],
        serde_json::json!(["other_case traceparent"])
    );
    assert!(tap.wait().await.expect("an end").success());
}

/// Where a server listens that lets nobody subscribe.
async fn forbidding() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.expect("a client");
        let (from, mut to) = client.split();
        let info = "INFO {\"version\":\"2.10.0\",\"proto\":1,\"headers\":true,\"max_payload\":1048576}\r\n";
        to.write_all(info.as_bytes()).await.expect("a write");
        let mut lines = BufReader::new(from).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let mut words = line.split(' ');
            let answer = match (words.next(), words.next()) {
                (Some("PING"), _) => "PONG\r\n".to_owned(),
                (Some("SUB"), Some(subject)) => {
                    format!("-ERR 'Permissions Violation for Subscription to \"{subject}\"'\r\n")
                }
                _ => continue,
            };
            to.write_all(answer.as_bytes()).await.expect("a write");
        }
    });
    format!("nats://{address}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_not_be_listened_to_is_an_error() {
    for subcommand in ["scan", "tap"] {
        let server = forbidding().await;
        let arguments = [
            subcommand,
            "--nats-url",
            &server,
            "--for",
            "60s",
            "nats:orders.>",
        ];
        let (code, out, error) = ended(&arguments).await;
        assert_eq!((code, out.as_str()), (Some(2), ""), "{error}");
        let said = "nats:orders.>: Permissions Violation for Subscription to \"orders.>\"";
        assert!(error.contains(said), "{error}");
    }
}
