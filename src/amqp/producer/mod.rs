//! Publishing messages.

mod batch;
mod returned;
mod turns;

use std::fmt;
use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Poll, ready};

use lapin::options::BasicPublishOptions;
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Confirmation};
use opentelemetry::{Context, KeyValue};

pub use self::batch::Publish;
use self::turns::Turn;
use super::attributes::{
    ConnectionInfo, answer, confirmed_as, content, error_type, is_for_size, is_returned_for_size,
    published, published_without,
};
use super::carrier::MessageHeaders;
use crate::engine::ambient::{ambient, current};
use crate::engine::client::Client;
use crate::engine::destination::Destination;
use crate::engine::sending::{Outgoing, Sending};
use crate::semconv::exception::ErrorDetails;
use crate::telemetry::Telemetry;

/// A channel whose messages carry the context of their send span. The [module](crate::amqp) has an
/// example.
///
/// It has the methods, results and waits of the channel that it wraps. Cloning is as cheap as
/// cloning the channel.
///
/// It and its clones may be used by tasks on several threads at once: each message is told its own
/// `ack` or `nack`. On a bare channel that is shared so, two messages may be told each other's, and one
/// that is lost counts as confirmed; so too if a channel is wrapped more than once, or is published on
/// directly at the same time. Of messages that are returned, see [Confirms](crate::amqp#confirms).
#[derive(Clone)]
#[must_use = "a channel is closed when its last handle is dropped"]
pub struct Producer {
    channel: Channel,
    client: Arc<Client>,
    connection: ConnectionInfo,
    turn: Arc<Turn>,
}

impl Producer {
    /// Wraps a channel. Its `connection` is `(&connection, uri)` or a [`ConnectionInfo`].
    pub fn wrap(
        telemetry: &Telemetry,
        connection: impl Into<ConnectionInfo>,
        channel: Channel,
    ) -> Self {
        let connection = connection.into();
        Self {
            client: connection.client(telemetry),
            channel,
            connection,
            turn: Arc::default(),
        }
    }

    /// The channel itself. What is published through it directly is not traced.
    #[must_use]
    pub const fn inner(&self) -> &Channel {
        &self.channel
    }

    /// Publishes a message, as [`Channel::basic_publish`] does, in a `publish {destination}` span
    /// that ends with the broker's confirm.
    ///
    /// On a channel without confirms the span ends when the message is written, with the
    /// [`CONFIRMATION`](crate::amqp::attributes::CONFIRMATION) `not_requested`. The parent is the
    /// span that is active when the future is first polled, or, if no context is attached then, at
    /// the call. A task that it is awaited in is given the context, by `with_current_context`.
    ///
    /// # Errors
    ///
    /// The error of [`Channel::basic_publish`], and of the confirm that it returns.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop a message that the client has taken. Its span ends with
    /// the status unset, because the outcome is unknown.
    pub fn basic_publish(
        &self,
        exchange: ShortString,
        routing_key: ShortString,
        options: BasicPublishOptions,
        payload: &[u8],
        properties: BasicProperties,
    ) -> impl Future<Output = lapin::Result<PublisherConfirm>> {
        let called = current();
        async move {
            let address = (&exchange, &routing_key);
            let (mut sending, properties) =
                self.start(ambient(called), address, payload, properties);
            let has_confirms = self.channel.status().confirm();
            if self.takes_messages() {
                sending.handed_over();
            }
            let channel = &self.channel;
            let publishing =
                pin!(channel.basic_publish(exchange, routing_key, options, payload, properties));
            match self.in_turn(has_confirms, publishing).await {
                Ok(confirm) => {
                    let mut confirm = PublisherConfirm { confirm, sending };
                    if !has_confirms {
                        confirm.end(&Ok(Confirmation::NotRequested));
                    }
                    Ok(confirm)
                }
                Err(error) => {
                    fail(sending, &error);
                    Err(error)
                }
            }
        }
    }

    /// Whether the client takes what it is given now, which it does before it answers.
    fn takes_messages(&self) -> bool {
        self.channel.status().connected()
    }

    /// Starts the span and gives the message its context.
    fn start(
        &self,
        ambient: Context,
        (exchange, routing_key): (&ShortString, &ShortString),
        payload: &[u8],
        properties: BasicProperties,
    ) -> (Sending, BasicProperties) {
        let address = (exchange, routing_key);
        let mut message = OutgoingMessage::new(self, address, payload, &properties);
        let sending = Sending::start(&self.client, "publish", ambient, &mut message);
        let properties = match message.headers.changed() {
            Some(headers) => properties.with_headers(headers),
            None => properties,
        };
        (sending, properties)
    }
}

/// A message that is about to be published.
struct OutgoingMessage<'a> {
    producer: &'a Producer,
    destination: Arc<Destination>,
    exchange: &'a ShortString,
    routing_key: &'a ShortString,
    payload: &'a [u8],
    properties: &'a BasicProperties,
    headers: MessageHeaders<'a>,
}

impl<'a> OutgoingMessage<'a> {
    fn new(
        producer: &'a Producer,
        (exchange, routing_key): (&'a ShortString, &'a ShortString),
        payload: &'a [u8],
        properties: &'a BasicProperties,
    ) -> Self {
        Self {
            destination: published(&producer.client, exchange, routing_key),
            producer,
            exchange,
            routing_key,
            payload,
            properties,
            headers: MessageHeaders::new(properties),
        }
    }
}

impl<'a> Outgoing for OutgoingMessage<'a> {
    type Headers = MessageHeaders<'a>;

    fn destination(&self) -> &Arc<Destination> {
        &self.destination
    }

    fn destination_without(&self, left_out: usize) -> Option<Arc<Destination>> {
        published_without(&self.producer.client, self.exchange, left_out)
    }

    fn headers(&self) -> &MessageHeaders<'a> {
        &self.headers
    }

    fn headers_and_room(
        &mut self,
    ) -> (
        &mut MessageHeaders<'a>,
        impl FnOnce(&MessageHeaders<'a>) -> usize,
    ) {
        let (connection, destination) = (&self.producer.connection, &self.destination);
        let (payload, properties) = (self.payload, self.properties);
        let room = move |headers: &MessageHeaders<'a>| {
            let frame = connection.header_frame(&destination.rule, payload);
            headers.room(frame, properties)
        };
        (&mut self.headers, room)
    }

    fn attributes(&self, set: &mut dyn FnMut(KeyValue)) {
        content(self.routing_key, self.properties).for_each(set);
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.client
            .shown("Producer", f)
            .field("channel", &self.channel.id())
            .finish_non_exhaustive()
    }
}

/// The broker's confirm of a message, a future with the output of the client's own. See
/// [`Producer::basic_publish`].
///
/// # Cancel safety
///
/// Dropping the future does not stop the message; [`Channel::wait_for_confirms`] waits for it. Its
/// span ends with the status unset, because the outcome is unknown.
#[must_use = "the publish span ends when this is dropped"]
pub struct PublisherConfirm {
    confirm: lapin::PublisherConfirm,
    sending: Sending,
}

impl PublisherConfirm {
    /// Ends the span with what became of the message.
    fn end(&mut self, confirmed: &lapin::Result<Confirmation>) {
        let mut sending = mem::take(&mut self.sending);
        let (confirmation, error) = match confirmed {
            Ok(confirmation) => answer(confirmation),
            Err(error) => return fail(sending, error),
        };
        if confirmed.as_ref().is_ok_and(is_returned_for_size) {
            sending.refused_for_size();
        }
        sending.record_by_rule(|rule| confirmed_as(rule, confirmation));
        if let Some(error_type) = error {
            // What the broker says of it is the name of the type in capitals.
            sending.fail(error_type, || ErrorDetails::Nothing);
        }
    }
}

fn fail(mut sending: Sending, error: &lapin::Error) {
    if is_for_size(error) {
        sending.refused_for_size();
    }
    sending.fail(error_type(error), || ErrorDetails::from_error(error));
}

impl Future for PublisherConfirm {
    type Output = lapin::Result<Confirmation>;

    fn poll(mut self: Pin<&mut Self>, task: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        let confirmed = ready!(Pin::new(&mut self.confirm).poll(task));
        self.end(&confirmed);
        Poll::Ready(confirmed)
    }
}

impl fmt::Debug for PublisherConfirm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublisherConfirm")
            .field("sending", &self.sending)
            .finish_non_exhaustive()
    }
}
