//! Sending messages.

mod acks;
mod batch;
pub(super) mod jetstream;
#[cfg(feature = "testing")]
mod testing;
mod traits;

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;

use async_nats::client::{FlushError, PublishError, RequestError, RequestErrorKind};
use async_nats::{Client, HeaderMap, Message, Request, ToSubject};
use bytes::Bytes;
use opentelemetry::{Context, KeyValue};

#[cfg(feature = "testing")]
pub use self::testing::TestProducer;
#[cfg(feature = "testing")]
pub(super) use self::testing::closed_client;
use super::attributes::{
    ClientInfo, Connection, Identity, is_for_size, message_id, of_answer, of_publish, of_request,
};
use super::carrier::MessageHeaders;
use crate::engine::ambient::{ambient, current};
use crate::engine::client;
use crate::engine::destination::Destination;
use crate::engine::sending::{Outgoing, Sending};
use crate::semconv::exception::ErrorDetails;
use crate::telemetry::Telemetry;

pub(super) const PUBLISH: &str = "publish";
const REQUEST: &str = "request";

/// A client whose messages carry the context of their send span. The [module](crate::nats) has an
/// example.
///
/// It has the methods, results and waits of the client that it wraps, to publish and to request.
/// Cloning is cheap and gives another handle to the same client.
#[derive(Clone)]
pub struct Producer {
    client: Client,
    info: Arc<ClientInfo>,
}

impl Producer {
    /// Wraps a client. The prefix of its inboxes is read from it.
    #[must_use]
    pub fn wrap(telemetry: &Telemetry, client: Client) -> Self {
        Self::identified(telemetry, client, Identity::default())
    }

    fn identified(telemetry: &Telemetry, client: Client, identity: Identity) -> Self {
        Self {
            info: Arc::new(ClientInfo::new(telemetry, client.clone(), identity)),
            client,
        }
    }

    /// Sets the address and port of the server that the client connects to. Unset: spans and
    /// metrics do not have them.
    #[must_use]
    pub fn server(self, address: &str, port: u16) -> Self {
        let identity = self.info.identity.clone().server(address, port);
        Self::identified(&self.info.client.telemetry, self.client, identity)
    }

    /// Sets the client's id. Unset: spans have none.
    #[must_use]
    pub fn client_id(self, id: &str) -> Self {
        let identity = self.info.identity.clone().client_id(id);
        Self::identified(&self.info.client.telemetry, self.client, identity)
    }

    /// The client itself. What is sent through it directly is not traced.
    #[must_use]
    pub const fn inner(&self) -> &Client {
        &self.client
    }

    /// Publishes a message, as [`Client::publish`] does, in a `publish {subject}` span that ends
    /// when the client has taken the message. The delivery is not confirmed.
    ///
    /// The parent is the span that is active when the future is first polled, or, if no context is
    /// attached then, at the call. The future can be spawned, or used with `with_context`.
    ///
    /// # Errors
    ///
    /// The error of [`Client::publish`].
    ///
    /// # Cancel safety
    ///
    /// As for [`Client::publish`]: dropped while it waits for room, the message is not sent. Its
    /// span ends with the status unset.
    pub fn publish<S: ToSubject>(
        &self,
        subject: S,
        payload: Bytes,
    ) -> impl Future<Output = Result<(), PublishError>> {
        self.publish_with_headers(subject, HeaderMap::new(), payload)
    }

    /// Publishes a message with headers, as [`Client::publish_with_headers`] does. Span and cancel
    /// safety are those of [`publish`](Self::publish).
    ///
    /// # Errors
    ///
    /// The error of [`Client::publish_with_headers`].
    pub fn publish_with_headers<S: ToSubject>(
        &self,
        subject: S,
        mut headers: HeaderMap,
        payload: Bytes,
    ) -> impl Future<Output = Result<(), PublishError>> {
        let called = current();
        async move {
            let subject = subject.to_subject();
            let sending = self.start(PUBLISH, called, &subject, &mut headers, payload.len());
            let result = self.client.publish_with_headers(subject, headers, payload);
            end(sending, result.await, of_publish)
        }
    }

    /// Publishes a message with a subject for the answer, as [`Client::publish_with_reply`] does.
    /// Span and cancel safety are those of [`publish`](Self::publish).
    ///
    /// # Errors
    ///
    /// The error of [`Client::publish_with_reply`].
    pub fn publish_with_reply<S: ToSubject, R: ToSubject>(
        &self,
        subject: S,
        reply: R,
        payload: Bytes,
    ) -> impl Future<Output = Result<(), PublishError>> {
        self.publish_with_reply_and_headers(subject, reply, HeaderMap::new(), payload)
    }

    /// Publishes a message with headers and a subject for the answer, as
    /// [`Client::publish_with_reply_and_headers`] does. Span and cancel safety are those of
    /// [`publish`](Self::publish).
    ///
    /// # Errors
    ///
    /// The error of [`Client::publish_with_reply_and_headers`].
    pub fn publish_with_reply_and_headers<S: ToSubject, R: ToSubject>(
        &self,
        subject: S,
        reply: R,
        mut headers: HeaderMap,
        payload: Bytes,
    ) -> impl Future<Output = Result<(), PublishError>> {
        let called = current();
        async move {
            let subject = subject.to_subject();
            let sending = self.start(PUBLISH, called, &subject, &mut headers, payload.len());
            let result = self
                .client
                .publish_with_reply_and_headers(subject, reply, headers, payload);
            end(sending, result.await, of_publish)
        }
    }

    /// Sends a request and waits for the answer, as [`Client::request`] does, in a `request
    /// {subject}` span that ends with the answer.
    ///
    /// The parent is chosen as by [`publish`](Self::publish). The answer is the client's own
    /// message. The service that answers does so in this trace, in a span of its own.
    ///
    /// # Errors
    ///
    /// The error of [`Client::request`]. On the span, `error.type` is `no_responders` if there are
    /// none, and `timeout` if the answer is not in time. An answer of a micro-service that has an
    /// error is returned as any other; the span has the error.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not take back a request that is sent. Its span ends with the status
    /// unset, because the outcome is unknown. The client does not show when it has taken a request, so
    /// that one which is dropped while it waits for room counts as sent.
    pub fn request<S: ToSubject>(
        &self,
        subject: S,
        payload: Bytes,
    ) -> impl Future<Output = Result<Message, RequestError>> {
        self.send_request(subject, Request::new().payload(payload))
    }

    /// Sends a request with headers, as [`Client::request_with_headers`] does. Span and cancel
    /// safety are those of [`request`](Self::request).
    ///
    /// # Errors
    ///
    /// The error of [`Client::request_with_headers`].
    pub fn request_with_headers<S: ToSubject>(
        &self,
        subject: S,
        headers: HeaderMap,
        payload: Bytes,
    ) -> impl Future<Output = Result<Message, RequestError>> {
        self.send_request(subject, Request::new().headers(headers).payload(payload))
    }

    /// Sends a request, as [`Client::send_request`] does. Span and cancel safety are those of
    /// [`request`](Self::request).
    ///
    /// # Errors
    ///
    /// The error of [`Client::send_request`].
    pub fn send_request<S: ToSubject>(
        &self,
        subject: S,
        mut request: Request,
    ) -> impl Future<Output = Result<Message, RequestError>> {
        let called = current();
        async move {
            let subject = subject.to_subject();
            let payload = request.payload.as_ref().map_or(0, Bytes::len);
            let headers = request.headers.get_or_insert_default();
            let sending = self.start(REQUEST, called, &subject, headers, payload);
            answered(sending, self.client.send_request(subject, request)).await
        }
    }

    /// Waits until all published messages are written to the connection, as [`Client::flush`] does.
    /// While the connection is away, it waits without an end: before a program ends, give it one, such as
    /// tokio's `timeout`.
    ///
    /// # Errors
    ///
    /// The error of [`Client::flush`].
    pub async fn flush(&self) -> Result<(), FlushError> {
        self.client.flush().await
    }

    fn start(
        &self,
        operation_name: &'static str,
        called: Context,
        subject: &str,
        headers: &mut HeaderMap,
        payload: usize,
    ) -> Sending {
        let info = &self.info;
        let destination = info.destination(subject);
        let message = OutgoingMessage::new(&info.connection, destination, headers, payload);
        message.start(&info.client, operation_name, ambient(called))
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.info
            .client
            .shown("Producer", f)
            .finish_non_exhaustive()
    }
}

/// A message that is about to be sent.
pub(super) struct OutgoingMessage<'a> {
    connection: &'a Connection,
    destination: Arc<Destination>,
    payload: usize,
    headers: MessageHeaders<'a>,
}

impl<'a> OutgoingMessage<'a> {
    /// `payload` is what the message has beside its headers, in bytes.
    pub(super) fn new(
        connection: &'a Connection,
        destination: Arc<Destination>,
        headers: &'a mut HeaderMap,
        payload: usize,
    ) -> Self {
        Self {
            connection,
            destination,
            payload,
            headers: MessageHeaders::new(headers),
        }
    }

    /// Starts the span and gives the message its context.
    pub(super) fn start(
        mut self,
        client: &Arc<client::Client>,
        operation_name: &'static str,
        ambient: Context,
    ) -> Sending {
        let sending = Sending::start(client, operation_name, ambient, &mut self);
        self.headers.finish();
        sending
    }
}

impl<'a> Outgoing for OutgoingMessage<'a> {
    type Headers = MessageHeaders<'a>;

    fn destination(&self) -> &Arc<Destination> {
        &self.destination
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
        let (connection, destination, payload) = (self.connection, &self.destination, self.payload);
        let room = move |headers: &MessageHeaders<'a>| {
            connection.room(&destination.rule, headers, payload)
        };
        (&mut self.headers, room)
    }

    fn attributes(&self, set: &mut dyn FnMut(KeyValue)) {
        message_id(Some(self.headers.map()))
            .into_iter()
            .for_each(set);
    }
}

/// Waits for the answer to a request, and ends its span with the client's result and with what is in it.
///
/// The client does not say when it has taken a request. It has where the answer is not there at once, but
/// for one that finds no room; and where the server says that nobody is there, or nobody answers, however soon.
pub(super) async fn answered(
    mut sending: Sending,
    request: impl Future<Output = Result<Message, RequestError>>,
) -> Result<Message, RequestError> {
    let mut request = pin!(request);
    let answer = poll_fn(|task| {
        let answer = request.as_mut().poll(task);
        if answer.is_pending() {
            sending.handed_over();
        }
        answer
    });
    let result = answer.await;
    if let Err(error) = &result
        && matches!(
            error.kind(),
            RequestErrorKind::NoResponders | RequestErrorKind::TimedOut
        )
    {
        sending.handed_over();
    }
    if let Ok(answer) = &result
        && let Some((error_type, text)) = of_answer(answer.headers.as_ref())
    {
        sending.fail(error_type, || ErrorDetails::Text(text.to_owned()));
    }
    end(sending, result, of_request)
}

/// Ends the span with the client's result.
pub(super) fn end<T, E: Error + 'static>(
    mut sending: Sending,
    result: Result<T, E>,
    error_type: fn(&E) -> &'static str,
) -> Result<T, E> {
    match &result {
        Ok(_) => sending.handed_over(),
        Err(error) => fail(&mut sending, error_type(error).into(), error),
    }
    result
}

fn fail(sending: &mut Sending, error_type: Cow<'static, str>, error: &(impl Error + 'static)) {
    if is_for_size(&error_type) {
        sending.refused_for_size();
    }
    sending.fail(error_type, || ErrorDetails::from_error(error));
}
