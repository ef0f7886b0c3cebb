//! Core NATS, which keeps no message: publishing to nobody, and publishing while they are processed.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result};
use async_nats::{Client, ConnectOptions, HeaderMap, Message, ServerAddr, Subscriber};
use benches::header_map;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::lock::Mutex;
use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::SpanKind;
use otel_messaging::nats;

use crate::spans::{Codec, Known, Operation, Spans};
use crate::turns::{Broker, Party, header, unique};
use crate::ways::{Providers, Way, Who};
use crate::{CLIENT_ID, PAYLOAD};

pub(crate) struct Core {
    address: ServerAddr,
    /// One sends, the other receives.
    clients: [Client; 2],
}

impl Core {
    pub(crate) async fn connect(url: &str) -> Result<Self> {
        let (address, clients) = connect(url).await?;
        Ok(Self { address, clients })
    }
}

/// Two connections, and the address that they were made to.
pub(crate) async fn connect(url: &str) -> Result<(ServerAddr, [Client; 2])> {
    let address: ServerAddr = url.parse()?;
    let connect = || {
        let options = ConnectOptions::new().name(CLIENT_ID);
        options.connect(address.clone())
    };
    let clients = [connect().await?, connect().await?];
    Ok((address, clients))
}

impl Broker for Core {
    const NAME: &'static str = "NATS core";
    const PHASES: [&'static str; 2] = ["send", "send and receive"];
    /// Fewer than a subscription holds until the client drops them.
    const MESSAGES: usize = 40_000;

    async fn party(&mut self, way: Way, providers: &Providers) -> Result<Arc<dyn Party>> {
        let subject = unique("orders");
        let [sending, receiving] = self.clients.clone();
        let (host, port) = (self.address.host(), self.address.port());
        let known = Known {
            system: "nats",
            host: host.to_owned().leak(),
            port,
            client_id: CLIENT_ID,
            group: None,
            destination: subject.clone().leak(),
            of_destination: &["messaging.destination.name"],
            receive: "next",
            constant: &[],
        };
        let telemetry = providers.telemetry();
        let sender = Sender(Arc::new(match way.who {
            Who::Client | Who::ClientWithHeader => Sending::Bare {
                client: sending,
                has_header: way.who == Who::ClientWithHeader,
            },
            Who::Ours => {
                let producer = nats::Producer::wrap(&telemetry, sending);
                Sending::Ours(producer.server(host, port).client_id(CLIENT_ID))
            }
            Who::ByHand | Who::Stock => Sending::Spanned {
                client: sending,
                operation: Box::new(known.operation("publish", "send", SpanKind::Producer)),
                spans: Box::new(Spans::of(way, providers)),
            },
        }));
        let receiver = match way.who {
            Who::Client | Who::ClientWithHeader => {
                Receiving::Bare(receiving.subscribe(subject).await?)
            }
            Who::Ours => {
                let consumer = nats::Consumer::wrap(&telemetry, receiving.clone());
                let consumer = consumer.server(host, port).client_id(CLIENT_ID);
                Receiving::Ours(consumer.subscribe(subject).await?)
            }
            Who::ByHand | Who::Stock => Receiving::Spanned {
                subscriber: receiving.subscribe(subject).await?,
                operation: Box::new(known.operation("process", "process", SpanKind::Consumer)),
                spans: Box::new(Spans::of(way, providers)),
            },
        };
        subscribed(&receiving).await?;
        Ok(Arc::new(Both {
            subject: known.destination,
            sender,
            receiver: Mutex::new(receiver),
        }))
    }

    async fn leave(self) -> Result<()> {
        Ok(())
    }
}

/// Waits until the server knows of the subscriptions of this connection.
async fn subscribed(client: &Client) -> Result<()> {
    let subject = unique("subscribed");
    let mut told = client.subscribe(subject.clone()).await?;
    client.publish(subject, "".into()).await?;
    told.next().await.context("the client's own message")?;
    Ok(())
}

struct Both {
    subject: &'static str,
    sender: Sender,
    receiver: Mutex<Receiving>,
}

impl Party for Both {
    fn send(&self, messages: usize) -> BoxFuture<'_, Result<()>> {
        // Nobody listens there.
        let sender = self.sender.clone();
        Box::pin(async move { sender.send("nobody", messages).await })
    }

    fn receive(&self, messages: usize) -> BoxFuture<'_, Result<Instant>> {
        Box::pin(async move {
            let start = Instant::now();
            let (sender, subject) = (self.sender.clone(), self.subject);
            let sent = tokio::spawn(async move { sender.send(subject, messages).await });
            self.receiver.lock().await.receive(messages).await?;
            sent.await??;
            Ok(start)
        })
    }
}

#[derive(Clone)]
struct Sender(Arc<Sending>);

enum Sending {
    Bare {
        client: Client,
        has_header: bool,
    },
    Ours(nats::Producer),
    Spanned {
        client: Client,
        operation: Box<Operation>,
        spans: Box<Spans>,
    },
}

impl Sender {
    async fn send(&self, subject: &'static str, messages: usize) -> Result<()> {
        match &*self.0 {
            Sending::Bare {
                client,
                has_header: false,
            } => {
                for _ in 0..messages {
                    client.publish(subject, PAYLOAD.as_slice().into()).await?;
                }
                client.flush().await?;
            }
            Sending::Bare { client, .. } => {
                let context = header();
                for _ in 0..messages {
                    let headers = header_map::inject_by_hand(&context, HeaderMap::new());
                    let published =
                        client.publish_with_headers(subject, headers, PAYLOAD.as_slice().into());
                    published.await?;
                }
                client.flush().await?;
            }
            Sending::Ours(producer) => {
                for _ in 0..messages {
                    producer.publish(subject, PAYLOAD.as_slice().into()).await?;
                }
                producer.inner().flush().await?;
            }
            Sending::Spanned {
                client,
                operation,
                spans,
            } => {
                for _ in 0..messages {
                    let started = spans.start(operation, []);
                    let headers = injected(&spans.codec, &started.context);
                    let published =
                        client.publish_with_headers(subject, headers, PAYLOAD.as_slice().into());
                    published.await?;
                    spans.end(operation, &started, || []);
                }
                client.flush().await?;
            }
        }
        Ok(())
    }
}

enum Receiving {
    Bare(Subscriber),
    Ours(nats::Messages<Subscriber>),
    Spanned {
        subscriber: Subscriber,
        operation: Box<Operation>,
        spans: Box<Spans>,
    },
}

impl Receiving {
    async fn receive(&mut self, messages: usize) -> Result<()> {
        match self {
            Self::Bare(subscriber) => {
                for _ in 0..messages {
                    let message = subscriber.next().await.context("a message")?;
                    handled(&message).await;
                }
            }
            Self::Ours(subscriber) => {
                for _ in 0..messages {
                    let message = subscriber.next().await.context("a message")?;
                    message.process(|message| handled(message)).await;
                }
            }
            Self::Spanned {
                subscriber,
                operation,
                spans,
            } => {
                for _ in 0..messages {
                    let message = subscriber.next().await.context("a message")?;
                    let received = extracted(&spans.codec, message.headers.as_ref());
                    let started = spans.process(operation, received, []);
                    handled(&message)
                        .with_context(started.context.clone())
                        .await;
                    spans.end(operation, &started, || []);
                }
            }
        }
        Ok(())
    }
}

/// Headers with this context.
pub(crate) fn injected(codec: &Codec, context: &Context) -> HeaderMap {
    match codec {
        Codec::ByHand => header_map::inject_by_hand(context, HeaderMap::new()),
        Codec::Stock(propagator) => header_map::inject(propagator, context, HeaderMap::new()),
    }
}

/// The context that a message carries.
pub(crate) fn extracted(codec: &Codec, headers: Option<&HeaderMap>) -> Context {
    headers.map_or_else(Context::new, |headers| match codec {
        Codec::ByHand => header_map::extract_by_hand(headers),
        Codec::Stock(propagator) => header_map::extract(propagator, headers),
    })
}

/// What the application does with a message.
async fn handled(message: &Message) {
    std::hint::black_box(&message.payload);
}
