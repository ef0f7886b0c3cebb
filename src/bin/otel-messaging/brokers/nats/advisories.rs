//! What a server says of messages that a consumer of JetStream gives up: which one of which stream. It says so once, and
//! keeps it nowhere but in a stream that has its subject.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_nats::Message;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::GetStreamByNameErrorKind;
use otel_messaging::internal::Diagnosis;

use super::advisory::{Advisory, OF_DEATH};
use super::{Sink, stored};
use crate::destination::is_subject_of;
use crate::facts::Facts;
use crate::output;
use crate::seen::{Place, Publication, Seen};

/// Subjects of all advisories.
const ALL: &str = "$JS.EVENT.ADVISORY.";

pub(super) fn is_advisory(subject: &str) -> bool {
    subject.starts_with(ALL)
}

/// Whether a stream with these subjects can keep what is said of others; one without any has messages of other streams.
pub(super) fn can_keep(subjects: &[String]) -> bool {
    let is_one =
        |subject: &String| is_advisory(subject) || is_subject_of(subject, &format!("{ALL}any"));
    subjects.is_empty() || subjects.iter().any(is_one)
}

/// Other streams that keep what is said of the dead messages of this one, and whether these are known to be all.
pub(super) async fn keepers(context: &Context, stream: &str) -> (Vec<String>, bool) {
    let (mut keepers, mut are_all) = (Vec::new(), true);
    for (subject, _) in OF_DEATH {
        match context
            .stream_by_subject(format!("{subject}{stream}.any"))
            .await
        {
            Ok(keeper) if keeper != stream && !keepers.contains(&keeper) => keepers.push(keeper),
            Ok(_) => {}
            Err(error) if error.kind() == GetStreamByNameErrorKind::NotFound => {}
            // It may not be allowed.
            Err(error) => {
                are_all = false;
                output::complain(&format!(
                    "jetstream:{stream}: cannot ask which stream keeps its advisories: {error}"
                ));
            }
        }
    }
    (keepers, are_all)
}

/// The messages that advisories are about.
pub(super) struct Advisories {
    context: Context,
    /// How often in a row a stream could not be asked.
    failures: Mutex<HashMap<String, u32>>,
}

/// From then on a stream is not asked any more: where it may not be, each answer is waited for in vain.
const MOST_FAILURES: u32 = 3;

/// Streams that are remembered.
const MOST_STREAMS: usize = 1_000;

/// Clocks of servers that are kept in time differ by less.
const SKEW: Duration = Duration::from_secs(2);

impl Advisories {
    pub(super) fn new(context: Context) -> Self {
        Self {
            context,
            failures: Mutex::default(),
        }
    }

    /// The dead message, where it is about one. The advisory is kept since this time; without any, it was heard just now.
    pub(super) async fn look_up(
        &self,
        advisory: &Message,
        kept: Option<SystemTime>,
        sink: &Sink,
    ) -> Option<Seen> {
        let told = Advisory::read(&advisory.subject, &advisory.payload)?;
        let destination = || format!("jetstream:{}", told.stream).into();
        let place = Place::Sequence(told.sequence);
        let found = match self.is_given_up(&told.stream) {
            true => None,
            false => {
                let found = stored::get(&self.context, &told.stream, told.sequence).await;
                self.noted(&told, found)
            }
        };
        let seen = match found {
            Some(Some(stored)) if kept.is_some_and(|kept| is_another(stored.time, kept)) => {
                without_message(destination(), place, true)
            }
            Some(Some(stored)) => super::seen_in(&told.stream, &stored, sink),
            Some(None) => without_message(destination(), place, true),
            None => without_message(destination(), place, false),
        };
        Some(Seen {
            facts: Facts {
                died_at: Some(kept.unwrap_or_else(SystemTime::now)),
                ..told.add_to(seen.facts)
            },
            ..seen
        })
    }

    fn is_given_up(&self, stream: &str) -> bool {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures
            .get(stream)
            .is_some_and(|count| *count >= MOST_FAILURES)
    }

    /// Complains once of each stream that cannot be asked: the others can be.
    fn noted<T>(&self, told: &Advisory, found: Result<T, String>) -> Option<T> {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let stream = &told.stream;
        let error = match found {
            Ok(found) => {
                if let Some(count) = failures.get_mut(stream) {
                    *count = 0;
                }
                return Some(found);
            }
            Err(error) => error,
        };
        if let Some(count) = failures.get_mut(stream) {
            *count += 1;
        } else if failures.len() < MOST_STREAMS {
            failures.insert(stream.clone(), 1);
            output::complain(&told.not_looked_up(&error));
        }
        None
    }
}

/// Whether what is there was written after that was said: then its stream was made again since.
fn is_another(written: SystemTime, told: SystemTime) -> bool {
    written.duration_since(told).is_ok_and(|since| since > SKEW)
}

fn without_message(destination: Arc<str>, place: Place, is_gone: bool) -> Seen {
    Seen {
        publication: Publication::of((&*destination, place), &[]),
        destination,
        place,
        time: None,
        now: SystemTime::now(),
        is_live: false,
        bytes: 0,
        diagnosis: Diagnosis::default(),
        facts: Facts {
            is_gone,
            ..Facts::default()
        },
        original: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_after_it_was_said_to_be_dead_is_another_message() {
        let told = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        for (written, is_so) in [
            (told - Duration::from_secs(3_600), false),
            (told, false),
            (told + SKEW, false),
            (told + SKEW + Duration::from_millis(1), true),
        ] {
            assert_eq!(is_another(written, told), is_so, "{written:?}");
        }
    }
}
