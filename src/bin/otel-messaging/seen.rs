//! A message that was looked at, whatever broker it is on.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use otel_messaging::internal::Diagnosis;

use crate::facts::Facts;
use crate::original::Original;

/// A message that was looked at.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Where it is, such as `kafka:orders`.
    pub(crate) destination: Arc<str>,
    pub(crate) place: Place,
    pub(crate) publication: Publication,
    /// When it was written, as the broker or its writer says.
    pub(crate) time: Option<SystemTime>,
    /// When it was looked at.
    pub(crate) now: SystemTime,
    /// It was looked at as soon as it was published.
    pub(crate) is_live: bool,
    /// Bytes of headers and payload.
    pub(crate) bytes: usize,
    pub(crate) diagnosis: Diagnosis,
    pub(crate) facts: Facts,
    /// The message itself, where it is to be sent again.
    pub(crate) original: Option<Original>,
}

/// When a message was written, and when it was heard if that was at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct When {
    pub(crate) time: SystemTime,
    heard: Option<SystemTime>,
}

impl When {
    /// Whether it is known that this was before. To the second alone is what many writers tell.
    pub(crate) fn is_before(self, other: Self) -> bool {
        let were_heard = self.heard.is_some() && other.heard.is_some();
        self.time < other.time
            || (self.time == other.time && were_heard && self.heard < other.heard)
    }
}

/// What is the same for all copies of what was published once: to several queues, or to subscribers and a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Publication(u64);

impl Publication {
    /// By where it was published to, and what.
    pub(crate) fn of(address: impl Hash, payload: &[u8]) -> Self {
        let mut hasher = DefaultHasher::new();
        address.hash(&mut hasher);
        payload.hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// Which message of its destination it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    Offset {
        partition: i32,
        offset: i64,
    },
    /// How many came before it while this was looking.
    Number(u64),
    /// Of a stream.
    Sequence(u64),
}

impl Seen {
    /// How old it is; `None` where it has no time.
    pub(crate) fn age(&self) -> Option<Age> {
        let time = self.time?;
        Some(match self.now.duration_since(time) {
            Ok(age) => Age::Past(age),
            Err(error) => Age::Future(error.duration()),
        })
    }

    /// By what it is ordered among others; `None` where that is not known, as of what a queue keeps that has no time.
    pub(crate) fn when(&self) -> Option<When> {
        let heard = self.is_live.then_some(self.now);
        let time = self.time.or(heard)?;
        Some(When { time, heard })
    }

    /// The id of its trace, where it has one.
    pub(crate) fn trace_id(&self) -> Option<String> {
        let creation = self.diagnosis.creation.as_ref()?;
        Some(creation.trace_id().to_string())
    }
}

/// How old a message is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Age {
    Past(Duration),
    /// Somebody's clock is wrong.
    Future(Duration),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offset { partition, offset } => write!(f, "{partition}/{offset}"),
            Self::Number(number) => write!(f, "#{number}"),
            Self::Sequence(sequence) => write!(f, "{sequence}"),
        }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use opentelemetry::trace::{SpanContext, TraceFlags, TraceState};

    use super::*;

    /// A message with the context of this span.
    pub(crate) fn seen(
        destination: &str,
        trace: u128,
        span: u64,
        time: Option<SystemTime>,
    ) -> Seen {
        let (flags, state) = (TraceFlags::SAMPLED, TraceState::default());
        let creation = SpanContext::new(trace.into(), span.into(), flags, true, state);
        let mut diagnosis = Diagnosis::default();
        diagnosis.creation = Some(creation);
        Seen {
            destination: destination.into(),
            place: Place::Number(1),
            publication: Publication::of(destination, &[]),
            time,
            now: time.unwrap_or(SystemTime::UNIX_EPOCH),
            is_live: false,
            bytes: 0,
            diagnosis,
            facts: Facts::default(),
            original: None,
        }
    }
}
