//! The producers that call back: the user's own context inside of ours.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]
#![expect(clippy::result_large_err, reason = "the client's own result types")]

use integration::Header;
use integration::kafka::{
    PATIENCE, config, delivered, measured, read, send_span, sending_span, topic, topic_of,
    wire_headers,
};
use integration::metrics::sent_messages;
use opentelemetry::trace::{SpanContext, SpanKind};
use otel_messaging::Telemetry;
use otel_messaging::testing::Recorder;
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Headers as _, OwnedHeaders};
use rdkafka::producer::{NoCustomPartitioner, Partitioner, PurgeConfig};

use crate::reporting::{
    Base, Hook, KEY, Report, Reporting, Shop, Threaded, current_span, delivery, failed_span,
    lingering, order, reported,
};
use crate::wire::{STALE, header, named, traceparent, upstream, within};

async fn a_failed_delivery_is_reported_in_its_span<P>()
where
    P: Reporting<NoCustomPartitioner>,
{
    let recorder = Recorder::new();
    let orders = topic("orders").await;
    let (shop, (mut reports, _)) = Shop::new(None);
    let producer = P::informed(&recorder.telemetry(), &lingering(), shop);

    producer.queued(order(&orders, 17, &[]));
    assert_eq!(recorder.spans().len(), 0, "nothing is known yet");
    producer.purge(PurgeConfig::default().queue());

    let report = reported(&producer, &mut reports).await;
    let send = recorder.span(&format!("send {orders}"));
    let purged = RDKafkaErrorCode::PurgeQueue;
    assert_eq!(
        report,
        Report {
            order: 17,
            outcome: Err(KafkaError::MessageProduction(purged)),
            payload: Some(b"two books".to_vec()),
            current: send.span_context.clone(),
        }
    );
    failed_span(&orders, "_PURGE_QUEUE").assert(&send);
    assert_eq!(current_span(), SpanContext::NONE, "the call is over");
    drop(producer);
    assert_eq!(reports.recv().await, None, "one report for one record");
    assert_eq!(recorder.spans().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_that_failed_calls_back_in_the_ended_span_of_its_record() {
    a_failed_delivery_is_reported_in_its_span::<Threaded>().await;
    a_failed_delivery_is_reported_in_its_span::<Base>().await;
}

async fn a_delivery_is_reported_in_its_span<P>()
where
    P: Reporting<NoCustomPartitioner>,
{
    let recorder = Recorder::new();
    let orders = topic("orders").await;
    let (shop, (mut reports, _)) = Shop::new(None);
    let producer = P::informed(&recorder.telemetry(), &config(), shop);
    let name = format!("send {orders}");

    for offset in [0, 1] {
        recorder.clear();
        let number = 17 + u32::try_from(offset).expect("a small number");
        producer.queued(order(&orders, number, &[]));
        let report = reported(&producer, &mut reports).await;

        let send = recorder.span(&name);
        assert_eq!(
            report,
            Report {
                order: number,
                outcome: Ok((0, offset)),
                payload: Some(b"two books".to_vec()),
                current: send.span_context.clone(),
            }
        );
        send_span(&orders, "order-7", &delivery(0, offset))
            .child_of(&named(STALE))
            .assert(&send);
        assert_eq!(current_span(), SpanContext::NONE, "the call is over");
    }
    drop(producer);
    assert_eq!(reports.recv().await, None, "one report for each record");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_calls_back_in_the_span_of_its_record() {
    a_delivery_is_reported_in_its_span::<Threaded>().await;
    a_delivery_is_reported_in_its_span::<Base>().await;
}

/// Where a delivery is reported to nobody, a span that waits for the report would stay for ever.
async fn without_reports_of_deliveries_a_span_ends_in_the_queue<P>()
where
    P: Reporting<NoCustomPartitioner>,
{
    let recorder = Recorder::new();
    let orders = topic("orders").await;
    let only_errors = |mut config: ClientConfig| {
        config.set("delivery.report.only.error", "true");
        config
    };
    let expected = sending_span(SpanKind::Producer, &orders)
        .attribute(KEY, "order-7")
        .child_of(&named(STALE));
    let name = format!("send {orders}");

    let (shop, (mut reports, _)) = Shop::new(None);
    let producer = P::informed(&recorder.telemetry(), &only_errors(config()), shop);
    producer.queued(order(&orders, 17, &[]));
    let send = recorder.span(&name);
    expected.assert(&send);
    sent_messages()
        .of(measured("send", &orders, None), 1)
        .assert(&recorder);
    let sent = read(&orders, 1).await;
    let sent: Vec<_> = sent.iter().map(wire_headers).collect();
    let written = header("traceparent", traceparent(&send.span_context));
    assert_eq!(sent, [[written]].map(Vec::from));
    drop(producer);
    assert_eq!(reports.recv().await, None, "nothing of a delivery");

    recorder.clear();
    let (shop, (mut reports, _)) = Shop::new(None);
    let producer = P::informed(&recorder.telemetry(), &only_errors(lingering()), shop);
    producer.queued(order(&orders, 18, &[]));
    producer.purge(PurgeConfig::default().queue());
    let report = reported(&producer, &mut reports).await;
    let purged = KafkaError::MessageProduction(RDKafkaErrorCode::PurgeQueue);
    assert_eq!((report.order, report.outcome), (18, Err(purged)));
    assert_eq!(report.current, SpanContext::NONE);
    expected.assert(&recorder.span(&name));
    assert_eq!(recorder.spans().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_only_errors_are_reported_a_span_ends_in_the_queue() {
    without_reports_of_deliveries_a_span_ends_in_the_queue::<Threaded>().await;
    without_reports_of_deliveries_a_span_ends_in_the_queue::<Base>().await;
}

fn own_headers(headers: Option<&OwnedHeaders>) -> Vec<Header> {
    let headers = headers.into_iter().flat_map(|headers| headers.iter());
    let pair = |name: &str, value: Option<&[u8]>| (name.into(), value.map(<[u8]>::to_vec));
    headers
        .map(|header| pair(header.key, header.value))
        .collect()
}

async fn a_full_queue_gives_the_record_back<P>(telemetry: &Telemetry, recorder: &Recorder)
where
    P: Reporting<NoCustomPartitioner>,
{
    let orders = topic("orders").await;
    let name = format!("send {orders}");
    let note = [header("note", "1"), (b"null".to_vec(), None)];
    let (shop, (mut reports, _)) = Shop::new(None);
    let mut small = lingering();
    small.set("queue.buffering.max.messages", "1");
    let small = P::informed(telemetry, &small, shop);
    let (shop, (mut later_reports, _)) = Shop::new(None);
    let later = P::informed(telemetry, &config(), shop);
    let mut written = Vec::new();

    for headers in [&note[..], &[]] {
        recorder.clear();
        small.queued(order(&orders, 1, &[]));
        let (error, returned) = within(&upstream(), || small.queue(order(&orders, 2, headers)))
            .expect_err("there is room for one alone");

        let full = RDKafkaErrorCode::QueueFull;
        assert_eq!(error, KafkaError::MessageProduction(full));
        failed_span(&orders, "_QUEUE_FULL").assert(&recorder.span(&name));
        assert_eq!(*returned.delivery_opaque, 2);
        assert_eq!(own_headers(returned.headers.as_ref()), headers);
        assert_eq!(returned.headers.is_some(), !headers.is_empty());
        assert_eq!(
            (returned.topic, returned.partition, returned.timestamp),
            (&*orders, None, None)
        );
        assert_eq!(
            (returned.key, returned.payload),
            (Some("order-7"), Some("two books"))
        );
        small.purge(PurgeConfig::default().queue());
        let first = reported(&small, &mut reports).await;
        assert_eq!(
            first.order, 1,
            "nothing was heard of the one that came back"
        );

        recorder.clear();
        later.queued(returned);
        let report = reported(&later, &mut later_reports).await;
        let (partition, offset) = report.outcome.expect("a delivery");
        let send = recorder.span(&name);
        send_span(&orders, "order-7", &delivery(partition, offset))
            .child_of(&named(STALE))
            .assert(&send);
        assert_eq!(
            (report.order, report.current),
            (2, send.span_context.clone())
        );
        let own = header("traceparent", traceparent(&send.span_context));
        written.push([headers, &[own]].concat());
    }

    drop((small, later));
    assert_eq!(reports.recv().await, None, "none for what was refused");
    assert_eq!(later_reports.recv().await, None, "one for each record");
    let messages = read(&orders, written.len()).await;
    let carried = messages.iter().map(wire_headers);
    assert_eq!(carried.collect::<Vec<_>>(), written);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_finds_the_queue_full_comes_back_with_all_that_is_the_users_own() {
    let recorder = Recorder::new();
    let modes = [
        recorder.telemetry(),
        recorder.telemetry().keep_existing_context(true),
    ];

    for telemetry in modes {
        a_full_queue_gives_the_record_back::<Threaded>(&telemetry, &recorder).await;
        a_full_queue_gives_the_record_back::<Base>(&telemetry, &recorder).await;
    }
}

async fn the_hooks_are_called<P: Reporting<NoCustomPartitioner>>() {
    let recorder = Recorder::new();
    let (shop, (_, mut hooks)) = Shop::new(None);
    let mut config = ClientConfig::new();
    config
        // Nobody is there, which is an error and is logged too.
        .set("bootstrap.servers", "127.0.0.1:1")
        .set("statistics.interval.ms", "10");
    let producer = P::wrapped(&recorder.telemetry(), &config, shop);

    let (mut statistics, mut error, mut log) = (None, None, None);
    let hear = async {
        while statistics.is_none() || error.is_none() || log.is_none() {
            producer.serve();
            tokio::task::yield_now().await;
            while let Ok(heard) = hooks.try_recv() {
                match heard {
                    Hook::Statistics(heard) => statistics = Some(heard),
                    Hook::Error(heard, reason) => error = Some((heard, reason)),
                    Hook::Log(facility) => log = Some(facility),
                }
            }
        }
    };
    let heard = tokio::time::timeout(PATIENCE, hear).await;
    heard.expect("all hooks in time");

    let statistics = statistics.expect("statistics");
    assert_eq!(statistics.client_type, "producer");
    let (error, reason) = error.expect("an error");
    let codes = [
        RDKafkaErrorCode::BrokerTransportFailure,
        RDKafkaErrorCode::AllBrokersDown,
    ];
    let codes = codes.map(KafkaError::Global);
    assert!(codes.contains(&error), "{error} {reason}");
    assert_ne!(reason, "");
    assert_eq!(log.expect("a line of the log"), "FAIL");
    assert_eq!(recorder.spans().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hooks_of_the_users_context_hear_what_they_heard() {
    the_hooks_are_called::<Threaded>().await;
    the_hooks_are_called::<Base>().await;
}

/// The key is the number of the partition.
struct ByKey;

impl Partitioner for ByKey {
    fn partition(
        &self,
        _topic: &str,
        key: Option<&[u8]>,
        _partitions: i32,
        _is_available: impl Fn(i32) -> bool,
    ) -> i32 {
        let key = key.and_then(|key| std::str::from_utf8(key).ok());
        // Without a number there is no partition, and no delivery.
        key.and_then(|key| key.parse().ok()).unwrap_or(-1)
    }
}

async fn the_partitioner_decides<P: Reporting<ByKey>>() {
    let recorder = Recorder::new();
    let orders = topic_of("orders", 4).await;
    let (shop, (mut reports, _)) = Shop::new(Some(ByKey));
    let producer = P::informed(&recorder.telemetry(), &config(), shop);

    // librdkafka's own partitioner has one partition for a key, ours all of them.
    for (number, partition) in (0..).zip(0..4) {
        recorder.clear();
        let key = partition.to_string();
        producer.queued(order(&orders, number, &[]).key(&*key));
        let report = reported(&producer, &mut reports).await;

        let send = recorder.span(&format!("send {orders}"));
        assert_eq!(
            report,
            Report {
                order: number,
                outcome: Ok((partition, 0)),
                payload: Some(b"two books".to_vec()),
                current: send.span_context.clone(),
            }
        );
        let sending = sending_span(SpanKind::Producer, &orders).attribute(KEY, key);
        delivered(sending, &delivery(partition, 0))
            .child_of(&named(STALE))
            .assert(&send);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_partitioner_of_the_users_context_still_decides() {
    the_partitioner_decides::<Threaded<ByKey>>().await;
    the_partitioner_decides::<Base<ByKey>>().await;
}
