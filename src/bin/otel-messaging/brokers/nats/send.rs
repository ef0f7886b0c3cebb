//! Messages that are published again, to a stream.

use async_nats::jetstream::{self, Context};
use async_nats::{HeaderMap, Subject};
use bytes::Bytes;

use super::connection::connect;
use crate::arguments::Access;
use crate::destination::is_subject_of;
use crate::failure::Failure;

/// Publishes to one stream.
pub(crate) struct Sender {
    context: Context,
    stream: String,
    subjects: Vec<String>,
    /// Where there is none, each goes by its own.
    subject: Option<String>,
}

impl Sender {
    /// Of a stream that is there.
    pub(crate) async fn open(
        access: &Access,
        stream: &str,
        subject: Option<&str>,
    ) -> Result<Self, Failure> {
        let (client, _) = connect(access).await?;
        let context = jetstream::new(client);
        let found = context.get_stream(stream).await;
        let found = found.map_err(|error| Failure::new(format!("jetstream:{stream}: {error}")))?;
        let sender = Self {
            subjects: found.cached_info().config.subjects.clone(),
            stream: stream.to_owned(),
            subject: subject.map(str::to_owned),
            context,
        };
        match subject {
            Some(subject) if subject.contains(['*', '>']) => Err(Failure::new(format!(
                "jetstream:{stream}/{subject}: a message is sent to one subject, not to a pattern"
            ))),
            Some(subject) if !sender.takes(subject) => Err(Failure::new(format!(
                "jetstream:{stream}/{subject}: the stream does not take this subject"
            ))),
            _ => Ok(sender),
        }
    }

    /// Whether what has this subject of its own can be sent there.
    pub(crate) fn can_take(&self, own_subject: &str) -> bool {
        self.subject.is_some() || self.takes(own_subject)
    }

    fn takes(&self, subject: &str) -> bool {
        let mut subjects = self.subjects.iter();
        subjects.any(|pattern| is_subject_of(pattern, subject))
    }

    /// Where a message goes that has this subject.
    pub(crate) fn target(&self, own_subject: &str) -> String {
        let subject = self.subject.as_deref().unwrap_or(own_subject);
        format!("jetstream:{}/{subject}", self.stream)
    }

    /// Sends it, and returns where it is then.
    pub(crate) async fn send(
        &self,
        own_subject: &str,
        headers: Option<&HeaderMap>,
        payload: Bytes,
    ) -> Result<String, Failure> {
        let target = self.target(own_subject);
        let failed = |error: jetstream::context::PublishError| {
            Failure::because(&format!("{target}: not confirmed"), error)
        };
        let subject = Subject::from(self.subject.as_deref().unwrap_or(own_subject));
        let sent = match headers
            .map(as_published)
            .filter(|headers| !headers.is_empty())
        {
            Some(headers) => {
                let sent = self.context.publish_with_headers(subject, headers, payload);
                sent.await
            }
            None => self.context.publish(subject, payload).await,
        };
        let ack = sent.map_err(failed)?.await.map_err(failed)?;
        if ack.stream != self.stream {
            return Err(Failure::new(format!(
                "{target}: the stream {} took it",
                ack.stream
            )));
        }
        Ok(format!("{target} {}", ack.sequence))
    }
}

/// Without what tells the server what to do: by these, it would take a message for one that it has, refuse it, or
/// delete others.
fn as_published(headers: &HeaderMap) -> HeaderMap {
    let mut kept = HeaderMap::new();
    for (name, values) in headers.iter() {
        let text: &str = name.as_ref();
        let is_for_server = text
            .get(..5)
            .is_some_and(|begin| begin.eq_ignore_ascii_case("nats-"));
        for value in values.iter().filter(|_| !is_for_server) {
            kept.append(name.clone(), value.clone());
        }
    }
    kept
}
