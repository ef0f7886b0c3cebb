//! Two servers that know nothing of each other, and a client that goes from the one to the other.

use std::time::Duration;

use async_nats::jetstream::consumer::{Consumer, pull};
use async_nats::jetstream::context::Context;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::Config;
use async_nats::message::OutboundMessage;
use async_nats::service::endpoint::Endpoint;
use async_nats::service::{Service, ServiceExt as _};
use async_nats::{Client, ConnectOptions, Event, ServerAddr, Subscriber};
use futures::StreamExt as _;
use futures::future::join;
use integration::metrics::{consumed_messages, sent_messages};
use integration::nats::in_time;
use integration::nats::server::Server;
use integration::whole;
use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanKind, Status};
use otel_messaging::Telemetry;
use otel_messaging::nats::{self, Batches, Messages, jetstream};
use otel_messaging::testing::{ExpectedSpan, Recorder};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

const LONG: Duration = Duration::from_secs(10);

/// The client is with the first of them, until that is gone.
struct Pair {
    first: Server,
    second: Server,
    client: Client,
    events: UnboundedReceiver<Event>,
}

impl Pair {
    async fn start() -> Self {
        let first = Server::start("jetstream: enabled").await;
        let second = Server::start("jetstream: enabled").await;
        let servers = [&first, &second].map(|server| server.url().parse::<ServerAddr>());
        let servers: Result<Vec<_>, _> = servers.into_iter().collect();
        let (heard, events) = unbounded_channel();
        let options = ConnectOptions::new()
            .retain_servers_order()
            .event_callback(move |event| {
                let _ = heard.send(event);
                std::future::ready(())
            });
        let client = options.connect(servers.expect("two addresses")).await;
        Self {
            client: client.expect("a connection"),
            first,
            second,
            events,
        }
    }

    /// Ends the first server, and waits until the client is with the second one.
    async fn fail_over(&mut self) {
        self.first.stop().await;
        for expected in [Event::Disconnected, Event::Connected] {
            while in_time(self.events.recv()).await.expect("an event") != expected {}
        }
        // It tells of a connection before it knows the server.
        in_time(self.client.flush()).await.expect("a connection");
    }

    /// A client of the second server alone.
    async fn beside(&self) -> Client {
        let client = async_nats::connect(self.second.url()).await;
        client.expect("a connection")
    }
}

/// One by one, and two at a time.
struct Core {
    producer: nats::Producer,
    orders: Messages<Subscriber>,
    pairs: Batches<Subscriber>,
    requests: Messages<Endpoint>,
    /// Its endpoints end with it.
    _service: Service,
}

impl Core {
    async fn start(telemetry: &Telemetry, client: &Client) -> Self {
        let consumer = nats::Consumer::wrap(telemetry, client.clone());
        let service = client.service_builder().start("stock", "1.0.0").await;
        let service = service.expect("a service");
        let endpoint = service.endpoint("stock").await;
        let orders = consumer.subscribe("orders").await;
        let pairs = consumer
            .queue_subscribe("pairs", "billing".to_owned())
            .await;
        Self {
            producer: nats::Producer::wrap(telemetry, client.clone()),
            requests: consumer.endpoint("stock", endpoint.expect("an endpoint")),
            _service: service,
            orders: orders.expect("a subscription"),
            pairs: pairs.expect("a subscription").batches(2, LONG),
        }
    }

    /// All that there is to do.
    async fn run(&mut self) {
        let published = self.producer.publish("orders", "two books".into());
        published.await.expect("a publish");
        let order = in_time(self.orders.next()).await.expect("an order");
        order
            .process(async |_| Ok::<_, String>(()))
            .await
            .expect("a result");

        let pair = [(); 2].map(|()| OutboundMessage {
            subject: "pairs".into(),
            payload: "a lamp".into(),
            reply: None,
            headers: None,
        });
        let published = self.producer.publish_batch(pair).await;
        assert!(published.iter().all(Result::is_ok), "{published:?}");
        let pair = in_time(self.pairs.recv()).await.expect("a pair");
        pair.process(async |_| Ok::<_, String>(()))
            .await
            .expect("a result");

        let answer = self.producer.request("stock", "a lamp?".into());
        let requests = &mut self.requests;
        let answering = async {
            let request = requests.next().await.expect("a request");
            let respond = request.process(async |request| request.respond(Ok("12".into())).await);
            respond.await.expect("an answer");
        };
        let (answer, ()) = in_time(join(answer, answering)).await;
        assert_eq!(answer.expect("an answer").payload, "12");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn core_goes_on_with_the_server_that_its_client_has_gone_to() {
    let recorder = Recorder::new();
    let mut pair = Pair::start().await;
    let mut core = Core::start(&recorder.telemetry(), &pair.client).await;
    in_time(pair.client.flush()).await.expect("a connection");

    core.run().await;
    expect_spans(&recorder, 10);
    recorder.clear();
    pair.fail_over().await;
    core.run().await;

    expect_spans(&recorder, 10);
    span("publish", "send", "orders", SpanKind::Producer).assert(&recorder.span("publish orders"));
    let publish = recorder.span("publish orders").span_context;
    span("process", "process", "orders", SpanKind::Consumer)
        .child_of(&publish)
        .link(&publish)
        .assert(&recorder.span("process orders"));
    span("request", "send", "stock", SpanKind::Producer).assert(&recorder.span("request stock"));
    let mut inbox = measured("publish", None);
    inbox.push(KeyValue::new("messaging.destination.template", "_INBOX"));
    sent_messages()
        .of(measured("publish", Some("orders")), 2)
        .of(measured("publish", Some("pairs")), 4)
        .of(measured("request", Some("stock")), 2)
        .of(inbox, 2)
        .assert(&recorder);
    let mut pairs = measured("next", Some("pairs"));
    pairs.push(KeyValue::new("messaging.consumer.group.name", "billing"));
    consumed_messages()
        .of(measured("next", Some("orders")), 2)
        .of(measured("next", Some("stock")), 2)
        .of(pairs, 4)
        .assert(&recorder);
}

/// A stream with a consumer, of the same names on either server.
async fn make(context: &Context) -> Consumer<pull::Config> {
    let config = Config {
        name: "ORDERS".to_owned(),
        subjects: vec!["orders".to_owned()],
        ..Config::default()
    };
    let stream = context.create_stream(config).await.expect("a stream");
    let durable = pull::Config {
        durable_name: Some("billing".to_owned()),
        filter_subject: "orders".to_owned(),
        ..pull::Config::default()
    };
    stream.create_consumer(durable).await.expect("a consumer")
}

/// One message, and then two at a time.
async fn run(producer: &jetstream::Producer, consumer: &jetstream::Consumer) {
    let published = producer.publish("orders", "two books".into()).await;
    published.expect("a publish").await.expect("an ack");
    let orders = consumer.fetch().max_messages(1).messages().await;
    let order = in_time(orders.expect("orders").next()).await;
    let order = order.expect("an order").expect("no error");
    let handled = order.process(async |order| order.double_ack().await).await;
    handled.expect("an answer");

    let pair = [(); 2].map(|()| {
        let message = PublishMessage::build();
        ("orders", message.payload("a lamp".into()))
    });
    let published = producer.publish_batch(pair).await;
    assert!(published.iter().all(Result::is_ok), "{published:?}");
    let orders = consumer.messages().await.expect("orders");
    let pair = in_time(orders.batches(2, LONG).recv()).await;
    let pair = pair.expect("a pair").expect("no error");
    let handled = pair.process(async |pair| {
        for order in pair {
            order.double_ack().await?;
        }
        Ok::<_, async_nats::Error>(())
    });
    handled.await.expect("an answer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jetstream_goes_on_with_the_server_that_its_client_has_gone_to() {
    let recorder = Recorder::new();
    let telemetry = recorder.telemetry();
    let mut pair = Pair::start().await;
    let context = async_nats::jetstream::new(pair.client.clone());
    make(&async_nats::jetstream::new(pair.beside().await)).await;
    let consumer = jetstream::Consumer::wrap(&telemetry, make(&context).await);
    let producer = jetstream::Producer::wrap(&telemetry, context);

    run(&producer, &consumer).await;
    expect_spans(&recorder, 10);
    recorder.clear();
    pair.fail_over().await;
    run(&producer, &consumer).await;

    expect_spans(&recorder, 10);
    let mut received = measured("next", Some("orders"));
    received.push(KeyValue::new("messaging.consumer.group.name", "billing"));
    sent_messages()
        .of(measured("publish", Some("orders")), 6)
        .assert(&recorder);
    consumed_messages().of(received, 6).assert(&recorder);
}

/// There are so many spans, and none failed.
fn expect_spans(recorder: &Recorder, count: usize) {
    let spans = recorder.spans();
    let names: Vec<_> = spans.iter().map(|span| &span.name).collect();
    assert_eq!(names.len(), count, "{names:?}");
    for span in &spans {
        assert_eq!(span.status, Status::Unset, "{span:?}");
    }
}

fn span(
    verb: &'static str,
    operation_type: &'static str,
    subject: &'static str,
    kind: SpanKind,
) -> ExpectedSpan {
    let span = whole::span(format!("{verb} {subject}"), kind)
        .attribute("messaging.operation.type", operation_type);
    let attributes = measured(verb, Some(subject)).into_iter();
    attributes.fold(span, |span, one| span.attribute(one.key, one.value))
}

fn measured(operation: &'static str, subject: Option<&'static str>) -> Vec<KeyValue> {
    let subject = subject.map(|subject| KeyValue::new("messaging.destination.name", subject));
    let own = [
        KeyValue::new("messaging.system.name", "nats"),
        KeyValue::new("messaging.operation.name", operation),
    ];
    own.into_iter().chain(subject).collect()
}
