//! A topic, queue or subject, and what is the same for all of its messages.

mod destinations;
mod prepared;

use std::sync::Arc;

use opentelemetry::StringValue;

pub(super) use self::destinations::Destinations;
pub(crate) use self::destinations::Names;
#[cfg(feature = "bound-instruments")]
pub(super) use self::prepared::Bound;
pub(super) use self::prepared::Prepared;
use self::prepared::PreparedOperations;
use crate::policy::Rule;
use crate::semconv::operation_type::OperationType;
use crate::semconv::text::tidy;

/// A topic, queue or subject, as a client names it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name<'a> {
    pub(crate) text: &'a str,
    /// What stands for it in span names and on metrics, where the client knows that it is one of
    /// many.
    pub(crate) template: Option<&'a str>,
    /// It is gone with its user.
    pub(crate) is_temporary: bool,
    /// The broker chose its name.
    pub(crate) is_anonymous: bool,
}

impl<'a> Name<'a> {
    /// A name that says all.
    pub(crate) const fn lasting(text: &'a str) -> Self {
        Self {
            text,
            template: None,
            is_temporary: false,
            is_anonymous: false,
        }
    }
}

/// What is the same for all messages of a destination.
#[derive(Debug)]
pub(crate) struct Destination {
    pub(crate) name: StringValue,
    /// The name is that of one, or of several together, and not empty.
    has_name: bool,
    /// What the policy says of it.
    pub(crate) rule: Rule,
    pub(crate) template: Option<StringValue>,
    pub(crate) is_temporary: bool,
    pub(crate) is_anonymous: bool,
    /// Its client has met so many names that what stands for this one does not count as one of few.
    is_one_too_many: bool,
    operations: PreparedOperations,
}

impl Destination {
    pub(super) fn new(rule: Rule, name: Name<'_>) -> Self {
        let template = rule.template_text().or(name.template).map(shared);
        Self {
            name: shared(name.text),
            has_name: !name.text.is_empty(),
            template,
            is_one_too_many: false,
            rule,
            is_temporary: name.is_temporary,
            is_anonymous: name.is_anonymous,
            operations: PreparedOperations::default(),
        }
    }

    /// All those that a template stands for, of which this is one; they may have a name together.
    pub(super) fn many(
        rule: Rule,
        one: &Self,
        template: &StringValue,
        together: Option<&StringValue>,
    ) -> Self {
        Self {
            name: together.unwrap_or(template).clone(),
            has_name: together.is_some(),
            rule,
            template: Some(template.clone()),
            is_temporary: one.is_temporary,
            is_anonymous: one.is_anonymous,
            is_one_too_many: one.is_one_too_many,
            operations: PreparedOperations::default(),
        }
    }

    /// Several that are known by this, if by anything, with a rule that is not the one of that.
    pub(super) fn several(rule: Rule, together: Option<&Self>) -> Self {
        Self {
            name: together.map_or_else(|| "".into(), |all| all.name.clone()),
            has_name: together.is_some_and(|all| all.has_name),
            rule,
            template: together.and_then(|all| all.template.clone()),
            is_temporary: together.is_some_and(|all| all.is_temporary),
            is_anonymous: together.is_some_and(|all| all.is_anonymous),
            is_one_too_many: together.is_some_and(|all| all.is_one_too_many),
            operations: PreparedOperations::default(),
        }
    }

    /// What all spans and metrics of an operation on it have, which is made once.
    pub(super) fn prepared(
        &self,
        operation_name: &'static str,
        operation_type: OperationType,
        prepare: impl Fn() -> Prepared,
    ) -> &Prepared {
        self.operations.get(operation_name, operation_type, prepare)
    }

    /// Its name. Several have none in common, and an empty one names nothing.
    pub(crate) const fn usable_name(&self) -> Option<&StringValue> {
        match self.has_name {
            true => Some(&self.name),
            false => None,
        }
    }

    /// Its template, where that is one of few.
    pub(crate) fn usable_template(&self) -> Option<&StringValue> {
        self.template.as_ref().filter(|_| !self.is_one_too_many)
    }

    /// What stands for it where names have to be few.
    ///
    /// Spec: [messaging-spans § Span name].
    ///
    /// [messaging-spans § Span name]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/messaging/messaging-spans.md#span-name
    pub(crate) const fn low_cardinality_name(&self) -> Option<&StringValue> {
        match &self.template {
            _ if self.is_one_too_many => None,
            Some(template) => Some(template),
            None if self.is_temporary || self.is_anonymous => None,
            None => self.usable_name(),
        }
    }
}

/// The text as an attribute, where there is any: an empty one names nothing.
pub(crate) fn shared_unless_empty(text: &str) -> Option<StringValue> {
    (!text.is_empty()).then(|| shared(text))
}

/// Whether these are one and the same.
pub(crate) fn are_one<'a>(mut destinations: impl Iterator<Item = &'a Arc<Destination>>) -> bool {
    let first = destinations.next();
    destinations.all(|other| {
        first.is_some_and(|first| Arc::ptr_eq(first, other) || first.name == other.name)
    })
}

/// Counted, so that every span can have it without a copy.
pub(crate) fn shared(text: &str) -> StringValue {
    StringValue::from(Arc::<str>::from(tidy(text)))
}
