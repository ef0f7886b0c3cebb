//! [`Contexts`]: what is current for each of the messages that are sent under one call.

use opentelemetry::Context;

use crate::engine::refused::Refused;
use crate::policy::{Record, Rule};

/// What is current for each of the messages that are sent under one call.
#[derive(Debug)]
pub(crate) struct Contexts {
    /// What is current at the call.
    pub(super) ambient: Context,
    /// What the caller gave for each message, in their order.
    own: Option<Vec<Context>>,
}

/// What is current for one of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Current<'a> {
    pub(super) context: &'a Context,
    /// It was given for this message alone.
    pub(super) is_own: bool,
}

impl Contexts {
    /// The one of the call for all messages, or the one that was given for each.
    ///
    /// A message that is sent from a handler must not pass on what the handler was not to be given,
    /// whichever context was given for it.
    pub(crate) fn new(ambient: Context, own: Option<Vec<Context>>) -> Self {
        let mut own = own;
        for context in own.iter_mut().flatten() {
            Refused::remember_from(&ambient, context);
        }
        Self { ambient, own }
    }

    /// What is current for the message of this index.
    pub(super) fn of(&self, index: usize) -> Current<'_> {
        let own = self.own.as_ref().and_then(|own| own.get(index));
        Current {
            context: own.unwrap_or(&self.ambient),
            is_own: own.is_some(),
        }
    }
}

impl Current<'_> {
    /// What is recorded of the message by its rule: nothing where telemetry is suppressed for it.
    pub(super) fn recorded(self, rule: &Rule) -> Record {
        match self.context.is_telemetry_suppressed() {
            true => Record::Off,
            false => rule.recorded(),
        }
    }
}
