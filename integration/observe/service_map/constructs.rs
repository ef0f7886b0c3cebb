//! What is done with messages, and what the edges say of it.

use async_nats::message::OutboundMessage;
use async_nats::{Message, Subscriber};
use futures::StreamExt as _;
use integration::nats::{PATIENCE, in_time, subscribed};
use opentelemetry::context::FutureExt as _;
use otel_messaging::nats::Messages;
use otel_messaging::{Batch, Received};

use super::Sent;
use super::service::Service;

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Construct {
    pub(super) title: &'static str,
    pub(super) subject: &'static str,
    sending: Sending,
    handling: Handling,
    /// How many times as many messages as the others have.
    times: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Sending {
    /// One by one, each in a request of its own.
    Alone,
    /// One by one, some in each request.
    Some,
    /// Many by one call.
    Batch,
    /// Each is answered.
    Request,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Handling {
    /// Each by itself.
    Alone,
    /// Each by itself, by two services.
    ByTwo,
    /// Each by itself, twice.
    Twice,
    /// All together.
    Batch,
    /// All together, and each is sent on in its own trace.
    Forward,
    /// Each by itself, within a batch.
    InBatch,
}

const PLAIN: Construct = Construct {
    title: "one by one: `send`, `publish`; `process`",
    subject: "plain",
    sending: Sending::Alone,
    handling: Handling::Alone,
    times: 1,
};

pub(super) const CONSTRUCTS: [Construct; 12] = [
    PLAIN,
    Construct {
        title: "read by two services",
        handling: Handling::ByTwo,
        ..PLAIN
    },
    Construct {
        title: "handled twice: a retry in the loop, a redelivery",
        handling: Handling::Twice,
        ..PLAIN
    },
    Construct {
        title: "linked only: `incoming = \"link_only\"`, `max_age`",
        subject: "linked",
        ..PLAIN
    },
    Construct {
        title: "sent in batches: `send_batch`, `publish_batch`",
        sending: Sending::Batch,
        ..PLAIN
    },
    Construct {
        title: "sent in batches, `create_spans = false`",
        subject: "bare-batches",
        sending: Sending::Batch,
        ..PLAIN
    },
    Construct {
        title: "handled in a batch: `batch.process`",
        handling: Handling::Batch,
        ..PLAIN
    },
    Construct {
        title: "the same, more than 128 links",
        handling: Handling::Batch,
        times: 10,
        ..PLAIN
    },
    Construct {
        title: "the same, `fan_back`",
        subject: "fanned",
        sending: Sending::Some,
        handling: Handling::Batch,
        ..PLAIN
    },
    Construct {
        title: "the same, each sent on in its own context: `publish_batch_with_contexts`",
        handling: Handling::Forward,
        ..PLAIN
    },
    Construct {
        title: "`message.process` within `batch.process`",
        handling: Handling::InBatch,
        ..PLAIN
    },
    Construct {
        title: "request and reply: `request`; `process`, in it `publish`",
        sending: Sending::Request,
        ..PLAIN
    },
];

impl Construct {
    /// Names of those who handle the messages.
    pub(super) const fn consumers(&self) -> &'static [&'static str] {
        match self.handling {
            Handling::ByTwo => &["billing", "audit"],
            _ => &["billing"],
        }
    }

    /// Sends and handles; how many messages each producer sent, and under how many calls or requests.
    pub(super) async fn run(
        &self,
        subject: &str,
        producers: &[Service],
        consumers: &[Service],
    ) -> (Vec<u64>, Vec<u64>) {
        let mut subscribed_to = Vec::new();
        for service in consumers {
            let messages = service.consumer.subscribe(subject.to_owned()).await;
            subscribed_to.push((service, messages.expect("a subscription")));
            subscribed(&service.client).await;
        }
        // As many requests from each, of 2, 3 and 4 messages: no two numbers are equal by chance.
        let in_request = |number: u64| (2 + number) * self.times;
        let producers = (0..).zip(producers);
        let total: u64 = producers
            .clone()
            .map(|(number, _)| 2 * in_request(number))
            .sum();
        let handling = futures::future::join_all(
            subscribed_to
                .into_iter()
                .map(|(service, messages)| self.handle(service, messages, total)),
        );
        let sending = async {
            let (mut messages, mut groups) = (Vec::new(), Vec::new());
            for (number, producer) in producers {
                let mut requests = 0;
                for _ in 0..2 {
                    requests += self.send(subject, producer, in_request(number)).await;
                }
                messages.push(2 * in_request(number));
                groups.push(requests);
            }
            (messages, groups)
        };
        let (sent, _) = tokio::join!(sending, handling);
        sent
    }

    /// Sends so many; under how many requests.
    async fn send(&self, subject: &str, service: &Service, messages: u64) -> u64 {
        match self.sending {
            Sending::Alone => {
                for _ in 0..messages {
                    let sent = service
                        .producer
                        .publish(subject.to_owned(), "two books".into());
                    sent.with_context(service.request())
                        .await
                        .expect("it is sent");
                }
                messages
            }
            Sending::Some => {
                let request = service.request();
                for _ in 0..messages {
                    let sent = service
                        .producer
                        .publish(subject.to_owned(), "two books".into());
                    sent.with_context(request.clone())
                        .await
                        .expect("it is sent");
                }
                1
            }
            Sending::Batch => {
                let all = (0..messages).map(|_| outbound(subject));
                let sent = service.producer.publish_batch(all);
                let results = sent.with_context(service.request()).await;
                assert!(results.iter().all(Result::is_ok), "{results:?}");
                1
            }
            Sending::Request => {
                for _ in 0..messages {
                    let asked = service
                        .producer
                        .request(subject.to_owned(), "price?".into());
                    let asked = asked.with_context(service.request());
                    in_time(asked).await.expect("an answer");
                }
                messages
            }
        }
    }

    async fn handle(&self, service: &Service, mut messages: Messages<Subscriber>, total: u64) {
        let answer = async |message: &Received<Message>| {
            if let Some(inbox) = message.reply.clone() {
                let answered = service.producer.publish(inbox, "12".into()).await;
                answered.expect("it is sent");
            }
        };
        if matches!(
            self.handling,
            Handling::Batch | Handling::Forward | Handling::InBatch
        ) {
            let total = usize::try_from(total).expect("a small number");
            let batch = in_time(messages.batches(total, PATIENCE).recv()).await;
            let batch = batch.expect("a batch");
            assert_eq!(batch.len(), total);
            let handle = async |batch: &Batch<Message>| match self.handling {
                Handling::InBatch => {
                    for message in batch.iter() {
                        message.process(answer).await;
                    }
                }
                Handling::Forward => {
                    let bills = batch.iter().map(|order| {
                        let context = order.creation_context().clone();
                        (context, outbound("bills"))
                    });
                    let results = service.producer.publish_batch_with_contexts(bills).await;
                    assert!(results.iter().all(Result::is_ok), "{results:?}");
                }
                _ => {}
            };
            batch.process(handle).await;
            return;
        }
        for _ in 0..total {
            let message = in_time(messages.next()).await.expect("a message");
            message.process(answer).await;
            if self.handling == Handling::Twice {
                message.process(answer).await;
            }
        }
    }
}

fn outbound(subject: &str) -> OutboundMessage {
    OutboundMessage {
        subject: subject.into(),
        reply: None,
        payload: "two books".into(),
        headers: None,
    }
}

/// Calls on the edges from each producer, and on all edges back.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Counts {
    pub(super) calls: Vec<u64>,
    pub(super) back: u64,
}

impl Counts {
    /// Each message is a call.
    pub(super) fn whole(messages: &[u64]) -> Self {
        Self {
            calls: messages.to_vec(),
            back: 0,
        }
    }

    /// What the table says of them.
    pub(super) fn verdict(&self, sent: &Sent) -> &'static str {
        let calls = &self.calls;
        let twice: Vec<_> = sent.messages.iter().map(|count| 2 * count).collect();
        assert_eq!(self.back, 0, "an edge back: {:?}", sent.construct);
        if *calls == sent.messages && sent.construct.handling == Handling::ByTwo {
            "each message once, to whoever was first"
        } else if *calls == sent.messages {
            "each message"
        } else if *calls == twice && sent.construct.handling == Handling::ByTwo {
            "each message, to both"
        } else if *calls == twice {
            "each attempt"
        } else if *calls == sent.groups {
            "one for each trace"
        } else if calls.iter().all(|count| *count == 0) {
            "**no edge**"
        } else {
            unreachable!("no verdict on {calls:?}: {:?}", sent.construct)
        }
    }
}

impl Sent {
    /// What the table says of so many spans of processing.
    pub(super) fn verdict_on_spans(&self, spans: u64) -> &'static str {
        let messages: u64 = self.messages.iter().sum();
        match spans {
            1 => "each batch",
            count if count == messages => "each message",
            count if count == messages + 1 => "each message, and the batch",
            count if count == 2 * messages && self.consumers.len() == 2 => "each message, of both",
            count if count == 2 * messages => "each attempt",
            _ => unreachable!("no verdict on {spans} spans: {:?}", self.construct),
        }
    }
}
