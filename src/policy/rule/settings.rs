//! The settings of a rule, as a policy file has them.

use std::time::Duration;

use crate::policy::choices::{Carried, Incoming, Parent, Record};
use crate::policy::pattern::{HeaderPattern, Pattern};

/// What is set; the names of the fields are those of a policy file.
///
/// Apart from the rule itself, which would have a trait of serde's in the public API.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(
    feature = "policy-files",
    derive(serde::Deserialize),
    serde(deny_unknown_fields, expecting = "a rule")
)]
pub(in crate::policy) struct Settings {
    pub(super) destination: Pattern,
    #[cfg_attr(
        feature = "policy-files",
        serde(default, deserialize_with = "Record::named")
    )]
    pub(super) record: Option<Record>,
    #[cfg_attr(
        feature = "policy-files",
        serde(default, deserialize_with = "Incoming::named")
    )]
    pub(super) incoming: Option<Incoming>,
    #[cfg_attr(
        feature = "policy-files",
        serde(default, deserialize_with = "Incoming::named")
    )]
    pub(super) redelivered: Option<Incoming>,
    #[cfg_attr(
        feature = "policy-files",
        serde(default, deserialize_with = "Parent::named")
    )]
    pub(super) parent: Option<Parent>,
    #[cfg_attr(
        feature = "policy-files",
        serde(default, deserialize_with = "Carried::named")
    )]
    pub(super) carried: Option<Carried>,
    #[cfg_attr(
        feature = "policy-files",
        serde(default, rename = "max_age_seconds", deserialize_with = "seconds")
    )]
    pub(super) max_age: Option<Duration>,
    pub(super) accept_baggage: Option<Vec<Pattern>>,
    pub(super) send_baggage: Option<Vec<Pattern>>,
    pub(super) baggage_on_spans: Option<Vec<Pattern>>,
    pub(super) baggage_on_metrics: Option<Vec<Pattern>>,
    pub(super) max_message_bytes: Option<usize>,
    pub(super) create_spans: Option<bool>,
    pub(super) receive_spans: Option<bool>,
    pub(super) settle_spans: Option<bool>,
    pub(super) message_key: Option<bool>,
    pub(super) capture_headers: Option<Vec<HeaderPattern>>,
    pub(super) template: Option<String>,
    pub(super) partition_on_metrics: Option<bool>,
    pub(super) time_in_queue: Option<bool>,
    pub(super) lag: Option<bool>,
    pub(super) fan_back: Option<usize>,
    pub(super) unregistered_attributes: Option<bool>,
}

impl Settings {
    /// Takes over what a later rule sets.
    pub(super) fn override_by(&mut self, later: &Self) {
        fn take<T: Clone>(mine: &mut Option<T>, later: &Option<T>) {
            if later.is_some() {
                mine.clone_from(later);
            }
        }
        take(&mut self.record, &later.record);
        take(&mut self.incoming, &later.incoming);
        take(&mut self.redelivered, &later.redelivered);
        take(&mut self.parent, &later.parent);
        take(&mut self.carried, &later.carried);
        take(&mut self.max_age, &later.max_age);
        take(&mut self.accept_baggage, &later.accept_baggage);
        take(&mut self.send_baggage, &later.send_baggage);
        take(&mut self.baggage_on_spans, &later.baggage_on_spans);
        take(&mut self.baggage_on_metrics, &later.baggage_on_metrics);
        take(&mut self.max_message_bytes, &later.max_message_bytes);
        take(&mut self.create_spans, &later.create_spans);
        take(&mut self.receive_spans, &later.receive_spans);
        take(&mut self.settle_spans, &later.settle_spans);
        take(&mut self.message_key, &later.message_key);
        take(&mut self.capture_headers, &later.capture_headers);
        take(&mut self.template, &later.template);
        take(&mut self.partition_on_metrics, &later.partition_on_metrics);
        take(&mut self.time_in_queue, &later.time_in_queue);
        take(&mut self.lag, &later.lag);
        take(&mut self.fan_back, &later.fan_back);
        take(
            &mut self.unregistered_attributes,
            &later.unregistered_attributes,
        );
    }
}

#[cfg(feature = "policy-files")]
fn seconds<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    <u64 as serde::Deserialize>::deserialize(deserializer)
        .map(|seconds| Some(Duration::from_secs(seconds)))
}
