//! [`Envelope`]: all that the core may know of one message.

use opentelemetry::StringValue;

/// What conventions ask of a message and of the client that carries it; `None` is left out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Envelope<'a> {
    /// The messaging system, as the conventions name it.
    pub(crate) system: &'static str,
    /// The system's own verb for what is done.
    pub(crate) operation_name: &'static str,
    /// Topic, queue or subject.
    pub(crate) destination: Option<&'a str>,
    /// Partition, where it is known before the operation.
    pub(crate) partition: Option<i32>,
    /// Consumer group.
    pub(crate) consumer_group: Option<&'a StringValue>,
    /// Client id, where the user chose one.
    pub(crate) client_id: Option<&'a StringValue>,
    /// The broker, where just one is known.
    pub(crate) server: Option<&'a Server>,
}

/// Address of a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) address: StringValue,
    pub(crate) port: u16,
}
