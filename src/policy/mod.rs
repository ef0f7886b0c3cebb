//! What is recorded, and which contexts are trusted, for each destination.
//!
//! A [`Policy`] is a list of [`Rule`]s. A rule has settings for the destinations of one name or
//! pattern. If several rules match a destination, a later one overrides an earlier one, setting by
//! setting. A setting that is in none of them has its default:
//!
//! | setting | in a file | default |
//! |---|---|---|
//! | [`record`](Rule::record) | `record = "propagate_only"` | `full` |
//! | [`incoming`](Rule::incoming) | `incoming = "restart"` | `continue` |
//! | [`redelivered`](Rule::redelivered), where it is stricter than `incoming` | `redelivered = "link_only"` | as `incoming` |
//! | [`parent`](Rule::parent) | `parent = "ambient"` | a span opened since the delivery, else the creation context |
//! | [`carried`](Rule::carried) | `carried = "link_only"` | `continue` |
//! | [`max_age`](Rule::max_age) | `max_age_seconds = 3600` | no limit |
//! | [`accept_baggage`](Rule::accept_baggage), not with `restart` and `ignore` | `accept_baggage = ["tenant"]` | all |
//! | [`send_baggage`](Rule::send_baggage) | `send_baggage = []` | all |
//! | [`baggage_on_spans`](Rule::baggage_on_spans) | `baggage_on_spans = ["tenant", "cohort"]` | none |
//! | [`baggage_on_metrics`](Rule::baggage_on_metrics) | `baggage_on_metrics = ["cohort"]` | none |
//! | [`max_message_bytes`](Rule::max_message_bytes) | `max_message_bytes = 65536` | the client's limit |
//! | [`create_spans`](Rule::create_spans) | `create_spans = false` | on |
//! | [`receive_spans`](Rule::receive_spans) | `receive_spans = true` | off, for batches on |
//! | [`settle_spans`](Rule::settle_spans) | `settle_spans = false` | on for known messages and inside a span |
//! | [`message_key`](Rule::message_key) | `message_key = false` | on |
//! | [`capture_headers`](Rule::capture_headers) | `capture_headers = ["x-tenant"]` | none |
//! | [`template`](Rule::template) | `template = "orders.{id}"` | none |
//! | [`partition_on_metrics`](Rule::partition_on_metrics) | `partition_on_metrics = true` | off |
//! | [`time_in_queue`](Rule::time_in_queue) | `time_in_queue = true` | off |
//! | [`lag`](Rule::lag) | `lag = true` | off |
//! | [`fan_back`](Rule::fan_back) | `fan_back = 100` | 0 |
//! | [`unregistered_attributes`](Rule::unregistered_attributes) | `unregistered_attributes = true` | only with an unusual value |
//!
//! A rule matches the name that spans have as `messaging.destination.name`. In a pattern `*`
//! matches any characters, dots and none included, and `?` matches one; any other character matches
//! itself. A client looks up the rules of a destination once.
//!
//! An operation on several destinations has the template that they share. Without one, it has the
//! part that their names share, such as the exchange and the queue of deliveries with several
//! routing keys. Without that, as for a commit of all offsets, it has the empty name, which `*`
//! matches. No more is recorded of it than of the destination of which most is recorded, where they
//! are known: a batch of messages that are all `off` is off.
//!
//! ```
//! use std::time::Duration;
//! use otel_messaging::Telemetry;
//! use otel_messaging::policy::{Incoming, Policy, Record, Rule};
//!
//! let policy = Policy::new()
//!     .rule(Rule::of("*").max_age(Duration::from_secs(3600)))
//!     .rule(Rule::of("partner.*").incoming(Incoming::Restart).send_baggage(["tenant"]))
//!     .rule(Rule::of("*.health").record(Record::Off));
//! let telemetry = Telemetry::new().policy(policy);
//! ```
//!
//! The same as a file, for `Policy::from_file` (feature `policy-files`, on by default):
//!
//! ```
//! # #[cfg(feature = "policy-files")] {
//! # use otel_messaging::policy::Policy;
//! # let text = r#"
//! [[rule]]
//! destination = "*"
//! max_age_seconds = 3600
//!
//! [[rule]]
//! destination = "partner.*"
//! incoming = "restart"
//! send_baggage = ["tenant"]
//!
//! [[rule]]
//! destination = "*.health"
//! record = "off"
//! # "#;
//! # text.parse::<Policy>().unwrap();
//! # }
//! ```

mod choices;
#[cfg(feature = "policy-files")]
mod file;
mod pattern;
mod rule;
#[cfg(test)]
mod tests;

pub use self::choices::{Carried, Incoming, Parent, Record};
#[cfg(feature = "policy-files")]
pub use self::file::PolicyError;
pub use self::rule::Rule;

/// Rules for destinations, see the [module](self). Without rules, every setting has its default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    rules: Vec<Rule>,
}

impl Policy {
    /// A policy without rules.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a rule, which overrides those before it.
    #[must_use]
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// All that the rules say of a destination, as one rule.
    pub(crate) fn rule_for(&self, destination: &str) -> Rule {
        let mut all = Rule::of(destination);
        for rule in self.rules.iter().filter(|rule| rule.names(destination)) {
            all.override_by(rule);
        }
        all
    }

    /// Whether any rule asks for receive spans.
    pub(crate) fn has_receive_spans(&self) -> bool {
        self.rules.iter().any(|rule| rule.has_receive_spans())
    }
}
