//! Streams that change while they are read, and those that lose what is consumed.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::stream::{Config, RetentionPolicy, Source, Stream};
use async_nats::jetstream::{self, Context};
use futures::TryStreamExt as _;
use integration::nats::wire::Wire;
use integration::nats::{client, header_map, stream, stream_of};
use integration::unique;
use tokio::io::AsyncReadExt as _;
use tokio::process::Child;
use tokio::time::timeout;

use crate::command::{command, ended, expected, json, remarks, summary, until};
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

/// A stream of this sort.
pub(crate) async fn made(context: &Context, retention: RetentionPolicy) -> Stream {
    let config = Config {
        name: unique("orders"),
        retention,
        ..Config::default()
    };
    stream_of(context, config).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_no_client_takes_is_counted_and_said_and_ends_no_reading() {
    let context = jetstream::new(client().await);
    for retention in [RetentionPolicy::Limits, RetentionPolicy::WorkQueue] {
        let mut orders = made(&context, retention).await;
        let name = orders.cached_info().config.name.clone();
        let subject = format!("{name}.new");
        publish(&context, &subject, 61).await;
        // The server asks after one that is idle.
        let mut wire = Wire::connect().await;
        for block in [
            b"NATS/1.0\r\nnote: \xff\r\n\r\n".as_slice(),
            b"NATS/1.0\r\nnote\r\n\r\n",
        ] {
            wire.publish(&subject, block, b"two books").await;
        }
        publish(&context, &subject, 62).await;
        until(async || state(&mut orders).await.0 == 4).await;

        let stream = format!("jetstream:{name}");
        let of_new = format!("{stream}/{subject}");
        for more in ["--all", "--last=3", "--since=5000000d"] {
            let scanned = json(&["scan", "--json", more, &stream]).await;
            let messages = if more == "--last=3" { 3 } else { 4 };
            let found = summary(&scanned, &of_new);
            assert_eq!(found["messages"], messages, "{more}: {scanned:#}");
            assert_eq!(found["with_context"], messages - 2, "{more}: {scanned:#}");
        }
        let (code, out, error) = ended(&["tap", "--all", "--max", "4", &stream]).await;
        assert_eq!((code, out.lines().count()), (Some(0), 4), "{out}");
        let said = format!("{of_new} 2: its headers cannot be read");
        assert_eq!(error.matches(&said).count(), 1, "{error}");
        let (code, out, _) = ended(&["dlq", "--unmarked", &stream]).await;
        assert_eq!(code, Some(0));
        assert_eq!(out.matches("it cannot be read").count(), 2, "{out}");
        assert_eq!(state(&mut orders).await, (4, vec![]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_is_made_again_brings_nothing_that_was_not_asked_for() {
    let context = jetstream::new(client().await);
    for from in ["", "--last=0", "--since=1ms"] {
        let mut orders = made(&context, RetentionPolicy::Limits).await;
        let name = orders.cached_info().config.name.clone();
        let subject = format!("{name}.new");
        publish(&context, &subject, 81).await;
        publish(&context, &subject, 82).await;
        let stream = format!("jetstream:{name}");
        let arguments = ["tap", "--json", "--max", "1", &stream, from];
        let arguments: Vec<_> = arguments
            .into_iter()
            .filter(|one| !one.is_empty())
            .collect();
        let mut tap = command(&arguments).spawn().expect("it starts");
        let mut own = String::new();
        until(async || {
            let consumers = state(&mut orders).await.1.into_iter();
            own = consumers.map(|(name, ..)| name).collect();
            !own.is_empty()
        })
        .await;
        orders.delete_consumer(&own).await.expect("it is deleted");
        // With all that there are, of which nothing is wanted.
        let has_all = |(name, delivered, _): &(String, u64, usize)| *name != own && *delivered == 2;
        until(async || {
            let has_ended = tap.try_wait().expect("its state").is_some();
            has_ended || state(&mut orders).await.1.iter().any(has_all)
        })
        .await;
        publish(&context, &subject, 83).await;

        let output = timeout(Duration::from_secs(120), tap.wait_with_output()).await;
        let output = output.expect("it ends").expect("an end");
        let text = String::from_utf8(output.stdout).expect("text");
        assert!(text.contains("\"place\":\"3\""), "{from}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_messages_are_as_many_as_asked_for_however_many_were_deleted() {
    let context = jetstream::new(client().await);
    for retention in [RetentionPolicy::Limits, RetentionPolicy::WorkQueue] {
        let orders = made(&context, retention).await;
        let name = orders.cached_info().config.name.clone();
        for number in 71..=80 {
            publish(&context, &format!("{name}.new"), number).await;
        }
        for sequence in [3, 4, 5, 6, 7, 9] {
            orders
                .delete_message(sequence)
                .await
                .expect("it is deleted");
        }
        let stream = format!("jetstream:{name}");
        for (last, first) in [(1, "10"), (2, "8"), (3, "2"), (4, "1")] {
            let asked = [
                "tap",
                "--json",
                "--last",
                &last.to_string(),
                "--max",
                &last.to_string(),
            ];
            let (_, out, _) = ended(&[&asked[..], &[&stream]].concat()).await;
            let lines: Vec<_> = out.lines().collect();
            assert_eq!(lines.len(), last);
            assert!(
                lines[0].contains(&format!("\"place\":\"{first}\"")),
                "{out}"
            );
        }
    }
}
