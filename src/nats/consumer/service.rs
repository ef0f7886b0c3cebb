//! Requests to micro-services.

use std::convert::Infallible;
use std::sync::Arc;

use async_nats::HeaderMap;
use async_nats::client::PublishError;
use async_nats::service::endpoint::Endpoint;
use async_nats::service::error::Error;
use async_nats::service::{NATS_SERVICE_ERROR, NATS_SERVICE_ERROR_CODE, Request};
use bytes::Bytes;
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;

use super::sealed::Deliver;
use super::{Consumer, Messages};
use crate::engine::ambient::{ambient, current};
use crate::engine::propagation::HeadersMut as _;
use crate::engine::received::Received;
use crate::nats::attributes::{EndpointInfo, of_publish};
use crate::nats::carrier::MessageHeaders;
use crate::nats::producer::{OutgoingMessage, PUBLISH, end};
use crate::telemetry::Moment;
use crate::telemetry::context::active_span;

impl Consumer {
    /// The requests to an endpoint of a micro-service. `subject` is the subject of the endpoint,
    /// with the prefixes of its groups.
    ///
    /// ```
    /// use async_nats::service::ServiceExt as _;
    /// use futures::StreamExt as _;
    /// use otel_messaging::{Telemetry, nats};
    ///
    /// # async fn example(client: async_nats::Client) -> Result<(), async_nats::Error> {
    /// let consumer = nats::Consumer::wrap(&Telemetry::new(), client.clone());
    /// let service = client.service_builder().start("stock", "1.0.0").await?;
    /// let mut requests = consumer.endpoint("stock.get", service.endpoint("stock.get").await?);
    /// while let Some(request) = requests.next().await {
    ///     let answered = request.process(async |request| request.respond(Ok("12".into())).await);
    ///     if let Err(error) = answered.await {
    ///         eprintln!("{error}");
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn endpoint(&self, subject: &str, endpoint: Endpoint) -> Messages<Endpoint> {
        let subscription = self.subscription(subject, None);
        let info = EndpointInfo::new(subscription, self.client.clone());
        Messages::new(endpoint, Arc::new(info))
    }
}

impl Messages<Endpoint> {
    /// Stops the endpoint, as [`Endpoint::stop`] does.
    ///
    /// # Errors
    ///
    /// The error of [`Endpoint::stop`].
    pub async fn stop(&mut self) -> std::io::Result<()> {
        self.stream.stop().await
    }
}

impl Deliver for Request {
    type Source = EndpointInfo;
    type Message = Self;
    type Error = Infallible;
    type Received = Received<Self>;

    fn deliver(
        self,
        source: &Arc<EndpointInfo>,
        since: Option<Moment>,
    ) -> Result<Received<Self>, Infallible> {
        Ok(Received::deliver(self, source, since, |_| None))
    }

    fn give(Ok(request): Result<Received<Self>, Infallible>) -> Received<Self> {
        request
    }
}

impl Received<Request> {
    /// Answers, as [`Request::respond`] does, in a `publish` span. It is a child of the active
    /// span, which in the handler is the process span.
    ///
    /// Where none is active, as after the handler, it is a child of the span that the request was
    /// processed in, or else of its [creation context](Self::creation_context). The baggage is what
    /// is current.
    ///
    /// # Errors
    ///
    /// The error of [`Request::respond`].
    pub fn respond(
        &self,
        response: Result<Bytes, Error>,
    ) -> impl Future<Output = Result<(), PublishError>> {
        self.respond_with_headers(response, HeaderMap::new())
    }

    /// Answers with headers, as [`Request::respond_with_headers`] does. The span is that of
    /// [`respond`](Self::respond).
    ///
    /// # Errors
    ///
    /// The error of [`Request::respond_with_headers`].
    pub fn respond_with_headers(
        &self,
        response: Result<Bytes, Error>,
        mut headers: HeaderMap,
    ) -> impl Future<Output = Result<(), PublishError>> {
        let called = current();
        async move {
            let endpoint = self.source();
            // Without it the client has nowhere to answer to, and says so.
            let sending = self.message.reply.as_ref().map(|reply| {
                let destination = endpoint.reply_destination(reply);
                let connection = &endpoint.connection;
                let size = size(&response);
                OutgoingMessage::new(connection, destination, &mut headers, size).start(
                    &endpoint.subscription.client,
                    PUBLISH,
                    self.unless_active(ambient(called)),
                )
            });
            let request: &Request = self;
            let result = request.respond_with_headers(response, headers).await;
            end(sending.unwrap_or_default(), result, of_publish)
        }
    }

    /// What an answer belongs to: what is active, or else the request.
    fn unless_active(&self, ambient: Context) -> Context {
        if active_span(&ambient).is_some() {
            return ambient;
        }
        let created = || self.creation_context().span().span_context().clone();
        let request = self.processed_in().unwrap_or_else(created);
        match request.is_valid() {
            true => ambient.with_remote_span_context(request),
            false => ambient,
        }
    }
}

/// Bytes of an answer that are not among its headers yet: its payload, or the headers that the client
/// makes of an error when ours are written.
fn size(response: &Result<Bytes, Error>) -> usize {
    match response {
        Ok(payload) => payload.len(),
        Err(Error { status, code }) => {
            let code = code.to_string();
            MessageHeaders::cost(NATS_SERVICE_ERROR, status.as_bytes())
                + MessageHeaders::cost(NATS_SERVICE_ERROR_CODE, code.as_bytes())
        }
    }
}
