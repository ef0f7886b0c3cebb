//! Streams that change while they are read, and those that lose what is consumed.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::stream::{Config, RetentionPolicy, Source};
use async_nats::jetstream::{self, Context};
use futures::TryStreamExt as _;
use integration::nats::{client, header_map, stream, stream_of};
use integration::unique;
use tokio::io::AsyncReadExt as _;
use tokio::process::Child;
use tokio::time::timeout;

use crate::command::{command, expected, json, remarks, summary, until};
use crate::faults::traceparent;
use crate::nats::state;

async fn publish(context: &Context, subject: &str, number: u8) {
    let headers = header_map(&[("traceparent", &traceparent(number))]);
    let payload = format!("book {number}");
    let sent = context.publish_with_headers(subject.to_owned(), headers, payload.into());
    let acknowledged = sent.await.expect("a publish").await;
    acknowledged.expect("an acknowledgement");
}

fn signal(program: &Child, name: &str) {
    let id = program.id().expect("it runs").to_string();
    let sent = std::process::Command::new("kill")
        .args([name, &id])
        .status();
    assert!(sent.expect("kill").success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_purged_meanwhile_is_not_waited_for() {
    let client = client().await;
    let context = jetstream::new(client.clone());
    let mut orders = stream(&context, "orders").await;
    let name = orders.cached_info().config.name.clone();
    let payload = "x".repeat(100);
    let subject = format!("{name}.new");
    for _ in 0..50 {
        for _ in 0..1_000 {
            let sent = client.publish(subject.clone(), payload.clone().into());
            sent.await.expect("a publish");
        }
        // No more than a server takes that is still writing.
        publish(&context, &subject, 1).await;
    }
    let mut command = command(&["scan", "--json", "--all", &format!("jetstream:{name}")]);
    let mut program = command.spawn().expect("it starts");
    // It stands still as soon as it has begun to read.
    while state(&mut orders).await.1.is_empty() {
        assert_eq!(program.try_wait().expect("its state"), None);
    }
    signal(&program, "-STOP");
    orders.purge().await.expect("a purge");
    signal(&program, "-CONT");

    let status = timeout(Duration::from_secs(120), program.wait()).await;
    assert!(status.expect("it ends").expect("an end").success());
    let mut text = String::new();
    let mut out = program.stdout.take().expect("its output");
    out.read_to_string(&mut text).await.expect("text");
    assert!(text.contains("destinations"), "{text}");
    assert_eq!(state(&mut orders).await, (0, vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_in_another_stream_is_the_same_message() {
    let client = client().await;
    let context = jetstream::new(client);
    let orders = stream(&context, "orders").await;
    let name = orders.cached_info().config.name.clone();
    let subject = format!("{name}.new");
    publish(&context, &subject, 41).await;
    let source = Source {
        name: name.clone(),
        ..Source::default()
    };
    let archive = Config {
        name: unique("archive"),
        sources: Some(vec![source]),
        ..Config::default()
    };
    let mut archive = stream_of(&context, archive).await;
    until(async || state(&mut archive).await.0 > 0).await;

    let archive = archive.cached_info().config.name.clone();
    let names = [name, archive].map(|stream| format!("jetstream:{stream}/{subject}"));
    let scanned = json(&["scan", "--json", &names[0], &names[1]]).await;
    for name in &names {
        assert_eq!(summary(&scanned, name)["messages"], 1, "{scanned:#}");
        assert_eq!(remarks(&scanned, name), [], "{scanned:#}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_taken_from_streams_that_lose_what_is_consumed() {
    let client = client().await;
    let context = jetstream::new(client);
    for retention in [RetentionPolicy::WorkQueue, RetentionPolicy::Interest] {
        let name = unique("work");
        let config = Config {
            name: name.clone(),
            subjects: vec![format!("{name}.>")],
            retention,
            ..Config::default()
        };
        let mut work = stream_of(&context, config).await;
        let worker = pull::Config {
            durable_name: Some("billing".to_owned()),
            ack_policy: AckPolicy::Explicit,
            ..pull::Config::default()
        };
        let worker = work.create_consumer(worker).await.expect("a consumer");
        for number in 51..=55 {
            publish(&context, &format!("{name}.new"), number).await;
        }
        publish(&context, &format!("{name}.paid"), 51).await;
        // The second one is done with, and leaves a gap.
        let batch = worker.fetch().max_messages(2).messages().await;
        let taken: Vec<_> = batch.expect("messages").try_collect().await.expect("all");
        taken[1].double_ack().await.expect("an acknowledgement");
        let before = state(&mut work).await;
        assert_eq!(before, (5, vec![("billing".to_owned(), 2, 1)]));

        let stream = format!("jetstream:{name}");
        let [of_new, of_paid] = ["new", "paid"].map(|part| format!("{stream}/{name}.{part}"));
        for more in [
            ["--all", "--json"],
            ["--last=5", "--json"],
            ["--since=1h", "--json"],
        ] {
            let scanned = json(&[&["scan", &stream], &more[..]].concat()).await;
            assert_eq!(summary(&scanned, &of_new)["with_context"], 4, "{scanned:#}");
            assert_eq!(summary(&scanned, &of_paid)["messages"], 1, "{scanned:#}");
            assert_eq!(remarks(&scanned, &of_paid), expected(&[("stale", 1)]));
        }
        let scanned = json(&["scan", "--json", &of_paid]).await;
        assert_eq!(summary(&scanned, &of_paid)["messages"], 1, "{scanned:#}");
        let tapped = command(&["tap", "--last", "5", "--max", "5", &stream]).output();
        let tapped = tapped.await.expect("it starts");
        let lines = String::from_utf8(tapped.stdout).expect("text");
        assert_eq!(lines.lines().count(), 5, "{lines}");

        assert_eq!(state(&mut work).await, before);
    }
}
