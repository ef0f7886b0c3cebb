//! What is sent without a stream.

use std::iter;

use async_nats::client::traits::{Publisher, Requester};
use async_nats::message::OutboundMessage;
use async_nats::{Client, HeaderMap, Request, jetstream};
use futures::StreamExt as _;
use integration::drops::{Api, Counted, Sends, Trials, assert_same_fates};
use integration::nats::{client, in_time, subscribed};
use integration::unique;
use opentelemetry::Context;
use otel_messaging::nats::Producer;
use otel_messaging::nats::jetstream::Producer as StreamProducer;
use tokio::task::JoinHandle;

use super::{TOGETHER, fill, narrow, rounds, without_room};
use crate::given_up::{Told, by as by_both};

/// Both clients, which have little room, each with a subject, and with somebody who hears what is sent there and answers.
pub(super) struct Shop {
    counted: Counted,
    client: Client,
    producer: Producer,
    /// The same as contexts of JetStream, which send without it too.
    context: jetstream::Context,
    stream_producer: StreamProducer,
    subjects: [String; 2],
    heard: [JoinHandle<Vec<String>>; 2],
}

impl Shop {
    pub(super) async fn open() -> Self {
        let counted = Counted::new();
        let subjects = ["bare", "wrapped"].map(unique);
        let mut heard = Vec::new();
        for subject in &subjects {
            heard.push(hear(subject.clone()).await);
        }
        let producer = Producer::wrap(&counted.telemetry(), narrow().await);
        let client = narrow().await;
        let wrapped = jetstream::new(producer.inner().clone());
        Self {
            context: jetstream::new(client.clone()),
            stream_producer: StreamProducer::wrap(&counted.telemetry(), wrapped),
            counted,
            client,
            producer,
            subjects,
            heard: heard.try_into().expect("two"),
        }
    }

    const fn core(&self) -> (&Client, &Producer) {
        (&self.client, &self.producer)
    }

    const fn stream(&self) -> (&jetstream::Context, &StreamProducer) {
        (&self.context, &self.stream_producer)
    }

    /// What both have sent, told by the names that have arrived.
    async fn assert_same(self, sends: Sends, messages: usize, trials: &[Trials; 2]) {
        let clients = [&self.client, self.producer.inner()];
        for (client, subject) in clients.into_iter().zip(&self.subjects) {
            client
                .publish(subject.clone(), END.into())
                .await
                .expect("a publish");
        }
        let mut fates = Vec::new();
        let mut arrived = 0;
        for (heard, trials) in self.heard.into_iter().zip(trials) {
            let names = in_time(heard).await.expect("no panic");
            arrived = names.len();
            fates.push(trials.fates(names.iter().map(String::as_str)));
        }
        assert_same_fates(sends.api, &fates[0], &fates[1]);
        assert_eq!(fates[1][&0], [0].into());
        assert_eq!(fates[1].values().next_back(), Some(&[messages].into()));
        // A request that is dropped while it waits for room counts too: the client does not say when it has taken one.
        let is_request = sends.api.0.contains("request");
        let sent = if is_request {
            trials[1].polled()
        } else {
            arrived as u64
        };
        assert_eq!(self.counted.sent(), sent);
        assert_eq!(self.counted.operations(), trials[1].polled());
    }
}

const END: &str = "end";

/// Answers to what is sent to a subject, until the end. Gives the names.
async fn hear(subject: String) -> JoinHandle<Vec<String>> {
    let client = client().await;
    let mut messages = client.subscribe(subject).await.expect("a subscription");
    subscribed(&client).await;
    tokio::spawn(async move {
        let mut names = Vec::new();
        while let Some(message) = messages.next().await {
            let name = String::from_utf8(message.payload.to_vec()).expect("a name");
            if name == END {
                break;
            }
            names.push(name);
            if let Some(reply) = message.reply {
                client.publish(reply, "ok".into()).await.expect("a publish");
            }
        }
        names
    })
}

fn outbound(subject: &str, name: &str) -> OutboundMessage {
    OutboundMessage {
        subject: subject.into(),
        reply: None,
        payload: name.to_owned().into(),
        headers: None,
    }
}

/// A test that sends in one way; `$send` is given a client, a subject, and the payload.
macro_rules! sends {
    ($test:ident, $api:expr, $send:expr) => {
        sends!($test, $api, (core, 1, 1), $send, $send);
    };
    ($test:ident, $api:expr, $of:ident, $send:expr) => {
        sends!($test, $api, ($of, 1, 1), $send, $send);
    };
    (
        $test:ident,
        $api:expr,
        ($of:ident, $spans:expr, $messages:expr),
        $bare:expr,
        $wrapped:expr
    ) => {
        #[tokio::test]
        async fn $test() {
            let _told = Told::at_the_end();
            let shop = Shop::open().await;
            let sends = Sends {
                api: $api,
                spans: $spans,
                by_the_call: false,
                rounds: rounds(),
            };
            let trials = {
                let [bare, wrapped] = &shop.subjects;
                let bare = async |name: String| {
                    let (client, subject) = (shop.$of().0, bare.as_str());
                    let sent = by(client, subject, name, $bare);
                    without_room(|| fill(&shop.client), sent).await;
                };
                let wrapped = async |name: String| {
                    let (producer, subject) = (shop.$of().1, wrapped.as_str());
                    let sent = by(producer, subject, name, $wrapped);
                    without_room(|| fill(shop.producer.inner()), sent).await;
                };
                by_both(sends, &shop.counted, bare, wrapped).await
            };
            shop.assert_same(sends, $messages, &trials).await;
        }
    };
}

/// Lets the compiler know what the closure is given.
async fn by<C>(client: &C, subject: &str, name: String, send: impl AsyncFn(&C, String, String)) {
    send(client, subject.to_owned(), name).await;
}

sends!(
    publishing_that_is_dropped_sends_as_the_bare_client,
    Api("nats::Producer::publish"),
    async |client, subject, name| client.publish(subject, name.into()).await.expect("room")
);
sends!(
    publishing_with_headers_that_is_dropped_sends_as_the_bare_client,
    Api("nats::Producer::publish_with_headers"),
    async |client, subject, name| {
        let published = client.publish_with_headers(subject, HeaderMap::new(), name.into());
        published.await.expect("room");
    }
);
sends!(
    publishing_with_a_reply_that_is_dropped_sends_as_the_bare_client,
    Api("nats::Producer::publish_with_reply"),
    async |client, subject, name| {
        let published = client.publish_with_reply(subject, "nobody", name.into());
        published.await.expect("room");
    }
);
sends!(
    publishing_with_all_that_is_dropped_sends_as_the_bare_client,
    Api("nats::Producer::publish_with_reply_and_headers"),
    async |client, subject, name| {
        let headers = HeaderMap::new();
        let published =
            client.publish_with_reply_and_headers(subject, "nobody", headers, name.into());
        published.await.expect("room");
    }
);
sends!(
    the_trait_s_publishing_that_is_dropped_sends_as_the_bare_client,
    Api("nats::Producer::publish_message"),
    async |client, subject, name| {
        let published = Publisher::publish_message(client, outbound(&subject, &name));
        published.await.expect("room");
    }
);
sends!(
    the_trait_s_publishing_with_a_reply_that_is_dropped_sends_as_the_bare_client,
    Api("nats::Producer::publish_with_reply"),
    async |client, subject, name| {
        let published = Publisher::publish_with_reply(client, subject, "nobody", name.into());
        published.await.expect("room");
    }
);
sends!(
    a_batch_that_is_dropped_sends_as_the_bare_client,
    Api("nats::Producer::publish_batch"),
    (core, 1 + TOGETHER, TOGETHER),
    async |client, subject, name| publish_together(client, &subject, &name).await,
    async |producer, subject, name| {
        let messages = iter::repeat_n(outbound(&subject, &name), TOGETHER);
        let published = producer.publish_batch(messages).await;
        assert!(published.iter().all(Result::is_ok));
    }
);
sends!(
    a_batch_with_contexts_that_is_dropped_sends_as_the_bare_client,
    Api("nats::Producer::publish_batch_with_contexts"),
    (core, 1 + TOGETHER, TOGETHER),
    async |client, subject, name| publish_together(client, &subject, &name).await,
    async |producer, subject, name| {
        let messages = iter::repeat_n((Context::new(), outbound(&subject, &name)), TOGETHER);
        let published = producer.publish_batch_with_contexts(messages).await;
        assert!(published.iter().all(Result::is_ok));
    }
);
sends!(
    a_request_that_is_dropped_is_sent_as_by_the_bare_client,
    Api("nats::Producer::request"),
    async |client, subject, name| {
        client
            .request(subject, name.into())
            .await
            .expect("an answer");
    }
);
sends!(
    a_request_with_headers_that_is_dropped_is_sent_as_by_the_bare_client,
    Api("nats::Producer::request_with_headers"),
    async |client, subject, name| {
        let asked = client.request_with_headers(subject, HeaderMap::new(), name.into());
        asked.await.expect("an answer");
    }
);
sends!(
    a_request_with_options_that_is_dropped_is_sent_as_by_the_bare_client,
    Api("nats::Producer::send_request"),
    async |client, subject, name| {
        let request = Request::new().payload(name.into());
        client
            .send_request(subject, request)
            .await
            .expect("an answer");
    }
);
sends!(
    a_request_of_the_trait_that_is_dropped_is_sent_as_by_the_bare_client,
    Api("nats::Producer::send_request"),
    async |client, subject, name| {
        let request = Request::new().payload(name.into());
        Requester::send_request(client, subject, request)
            .await
            .expect("an answer");
    }
);

sends!(
    a_context_s_publishing_that_is_dropped_sends_as_the_bare_one,
    Api("nats::jetstream::Producer::publish_message"),
    stream,
    async |client, subject, name| {
        let published = Publisher::publish_message(client, outbound(&subject, &name));
        published.await.expect("room");
    }
);
sends!(
    a_context_s_publishing_with_a_reply_that_is_dropped_sends_as_the_bare_one,
    Api("nats::jetstream::Producer::publish_with_reply"),
    stream,
    async |client, subject, name| {
        let published = Publisher::publish_with_reply(client, subject, "nobody", name.into());
        published.await.expect("room");
    }
);
sends!(
    a_context_s_request_that_is_dropped_is_sent_as_by_the_bare_one,
    Api("nats::jetstream::Producer::send_request"),
    stream,
    async |client, subject, name| {
        let request = Request::new().payload(name.into());
        Requester::send_request(client, subject, request)
            .await
            .expect("an answer");
    }
);

/// The bare client has no call for a batch.
async fn publish_together(client: &Client, subject: &str, name: &str) {
    for _ in 0..TOGETHER {
        let published = client.publish_message(outbound(subject, name));
        published.await.expect("room");
    }
}
