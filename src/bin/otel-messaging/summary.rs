//! What is said of the messages of a destination together.

use std::collections::BTreeMap;
use std::time::Duration;

use otel_messaging::internal::{Fault, Finding};
use serde_json::{Value, json};

use crate::compared::Clash;
use crate::quantiles::Quantiles;
use crate::seen::{Age, Place, Seen};

/// Something that is said of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Remark {
    /// Whether something is lost by it.
    pub(crate) is_loss: bool,
    pub(crate) name: &'static str,
    /// The header that it is about, where it is about one.
    pub(crate) header: &'static str,
    pub(crate) meaning: &'static str,
}

/// From which value on something is remarkable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) max_age: Option<Duration>,
    pub(crate) max_bytes: usize,
}

impl Limits {
    pub(crate) const NONE: Self = Self {
        max_age: None,
        max_bytes: usize::MAX,
    };
}

/// Clocks of machines that are kept in time differ by less.
const SKEW: Duration = Duration::from_secs(2);

impl Remark {
    const fn of(is_loss: bool, name: &'static str, meaning: &'static str) -> Self {
        Self {
            is_loss,
            name,
            header: "",
            meaning,
        }
    }

    pub(crate) fn text(&self) -> String {
        match self.header {
            "" => self.name.to_owned(),
            header => format!("{} {header}", self.name),
        }
    }
}

impl From<&Finding> for Remark {
    fn from(finding: &Finding) -> Self {
        Self {
            is_loss: finding.fault.is_loss(),
            name: finding.fault.name(),
            header: match finding.fault {
                Fault::Foreign(format) => format,
                _ => finding.header,
            },
            meaning: finding.fault.meaning(),
        }
    }
}

impl From<Clash> for Remark {
    fn from(clash: Clash) -> Self {
        match clash {
            Clash::Stale => Self::of(
                true,
                "stale",
                "has the context of a message in another destination: headers were copied on, or one span sent both",
            ),
            Clash::SampledChanged => Self::of(
                true,
                "sampled_changed",
                "another message of its trace has the other flag of sampling",
            ),
            Clash::Restarted => Self::of(
                true,
                "restarted",
                "a message with the same id in another destination is of another trace",
            ),
        }
    }
}

/// All that is said of a message alone.
pub(crate) fn remarks(seen: &Seen, limits: Limits) -> Vec<Remark> {
    let mut remarks: Vec<_> = seen.diagnosis.findings.iter().map(Remark::from).collect();
    let mut add = |is_so: bool, name, meaning| {
        if is_so {
            remarks.push(Remark::of(false, name, meaning));
        }
    };
    let (age, facts) = (seen.age(), &seen.facts);
    let is_ahead = matches!(age, Some(Age::Future(ahead)) if ahead > SKEW);
    add(
        is_ahead,
        "clock_skew",
        "its time is in the future: a clock is wrong",
    );
    let is_old = matches!((age, limits.max_age), (Some(Age::Past(age)), Some(max)) if age > max);
    add(is_old, "old", "is older than --max-age");
    add(
        seen.bytes > limits.max_bytes,
        "oversized",
        "has more bytes than --max-bytes",
    );
    add(
        facts.is_marked || facts.died_in.is_some(),
        "dead_letter",
        "was given up elsewhere and sent here",
    );
    let is_retried = facts.attempts.is_some_and(|attempts| attempts > 1);
    add(is_retried, "retried", "was tried more than once");
    add(facts.is_redelivered, "redelivered", "was delivered before");
    remarks
}

/// What is said of the messages of a destination together.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    pub(crate) messages: u64,
    pub(crate) with_context: u64,
    sampled: u64,
    baggage_members: usize,
    baggage_bytes: usize,
    largest: usize,
    ages: Quantiles,
    pub(crate) remarks: BTreeMap<Remark, (u64, Place)>,
    writers: BTreeMap<String, u64>,
}

/// Names of writers that are kept.
const MOST_WRITERS: usize = 100;

impl Summary {
    pub(crate) fn add(&mut self, seen: &Seen, limits: Limits) {
        self.messages += 1;
        if let Some(creation) = &seen.diagnosis.creation {
            self.with_context += 1;
            self.sampled += u64::from(creation.is_sampled());
        }
        self.baggage_members = self.baggage_members.max(seen.diagnosis.baggage.len());
        self.baggage_bytes = self.baggage_bytes.max(seen.diagnosis.baggage_bytes);
        self.largest = self.largest.max(seen.bytes);
        match seen.age() {
            Some(Age::Past(age)) => self.ages.add(age),
            Some(Age::Future(_)) => self.ages.add(Duration::ZERO),
            None => {}
        }
        for remark in remarks(seen, limits) {
            self.remark(remark, seen.place);
        }
        if let Some(writer) = &seen.facts.writer
            && (self.writers.len() < MOST_WRITERS || self.writers.contains_key(writer))
        {
            *self.writers.entry(writer.clone()).or_default() += 1;
        }
    }

    pub(crate) fn remark(&mut self, remark: Remark, place: Place) {
        self.remarks.entry(remark).or_insert((0, place)).0 += 1;
    }

    /// The share of messages that have a context, in percent.
    pub(crate) fn share(&self) -> Option<f64> {
        percent(self.with_context, self.messages)
    }

    pub(crate) fn share_sampled(&self) -> Option<f64> {
        percent(self.sampled, self.with_context)
    }

    /// Most members and most bytes of any message.
    pub(crate) const fn baggage(&self) -> (usize, usize) {
        (self.baggage_members, self.baggage_bytes)
    }

    pub(crate) fn age(&self, percent: u64) -> Option<Duration> {
        self.ages.at(percent)
    }

    pub(crate) fn writers(&self) -> impl Iterator<Item = &str> {
        self.writers.keys().map(String::as_str)
    }

    pub(crate) fn json(&self, destination: &str) -> Value {
        let milliseconds = |percent| self.age(percent).map(|age| age.as_millis() as u64);
        let remarks = self.remarks.iter().map(|(remark, (count, first))| {
            json!({
                "name": remark.name,
                "header": (!remark.header.is_empty()).then_some(remark.header),
                "is_loss": remark.is_loss,
                "messages": count,
                "first": first.to_string(),
                "meaning": remark.meaning,
            })
        });
        json!({
            "destination": destination,
            "messages": self.messages,
            "with_context": self.with_context,
            "with_context_percent": self.share(),
            "sampled_percent": self.share_sampled(),
            "baggage_members_max": self.baggage_members,
            "baggage_bytes_max": self.baggage_bytes,
            "message_bytes_max": self.largest,
            "age_p50_ms": milliseconds(50),
            "age_p99_ms": milliseconds(99),
            "writers": self.writers,
            "remarks": remarks.collect::<Vec<_>>(),
        })
    }
}

fn percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 * 100.0 / whole as f64)
}
