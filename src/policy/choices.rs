//! Values of the settings of a rule.

/// Declares what a setting chooses among. In a policy file a choice has its own name, in snake case.
///
/// It is read into an enum that nobody sees, so that the public one has no trait of serde's.
macro_rules! choice {
    ($(#[$about:meta])* pub enum $Choice:ident { $($(#[$about_one:meta])* $One:ident,)+ }) => {
        $(#[$about])*
        pub enum $Choice { $($(#[$about_one])* $One,)+ }

        #[cfg(feature = "policy-files")]
        impl $Choice {
            /// Reads the value of a setting.
            pub(super) fn named<'de, D: serde::Deserializer<'de>>(
                value: D,
            ) -> Result<Option<Self>, D::Error> {
                #[derive(serde::Deserialize)]
                #[serde(rename_all = "snake_case")]
                enum Name { $($One,)+ }
                serde::Deserialize::deserialize(value).map(|name| match name {
                    $(Name::$One => Some(Self::$One),)+
                })
            }
        }
    };
}

choice! {
    /// What is recorded of a destination's messages, see
    /// [`Rule::record`](crate::policy::Rule::record).
    ///
    /// No value cuts the trace of a received message: its context is current in its handler, and goes out with
    /// what the handler sends. `Off` does where it is a rule for what is sent, which goes without a context.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    #[non_exhaustive]
    pub enum Record {
        /// Spans and metrics.
        #[default]
        Full,
        /// Metrics, but neither spans nor exceptions. A message is sent with the ambient context.
        PropagateOnly,
        /// Nothing. A message is sent as by the bare client, without a context.
        Off,
    }
}

choice! {
    /// How the context of a received message is used, see
    /// [`Rule::incoming`](crate::policy::Rule::incoming).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    #[non_exhaustive]
    pub enum Incoming {
        /// The process span is a child of the creation context and links to it. A span that was
        /// opened since the message was delivered is the parent instead, see
        /// [`Rule::parent`](crate::policy::Rule::parent).
        #[default]
        Continue,
        /// The process span is no child of the creation context, and links to it: it starts a trace
        /// of its own, or is inside a span that was opened since the message was delivered. The
        /// baggage is current in the handler. Without a recorded span there is no link, and the
        /// context is continued.
        LinkOnly,
        /// For senders who are not trusted. As for `LinkOnly`, but the link is to the ids of the
        /// creation context alone: sampled flag, tracestate and baggage are dropped.
        ///
        /// They do not go out again with headers that the handler forwards. Inside the handler this
        /// applies to any context that a sent message carries, whoever put it there. After the
        /// handler has ended, the origin of such headers is unknown (see [`Carried`]), unless the
        /// message is sent in [`creation_context`](crate::Received::creation_context).
        Restart,
        /// The message is handled as if it carried no context.
        Ignore,
    }
}

impl Incoming {
    /// The one of both that trusts less: they are declared in that order.
    pub(super) const fn stricter(self, other: Self) -> Self {
        if self as u8 > other as u8 {
            self
        } else {
            other
        }
    }
}

choice! {
    /// Parent of a process span, see [`Rule::parent`](crate::policy::Rule::parent).
    ///
    /// The creation context is linked in any case, as far as [`Incoming`] permits; the active span if it
    /// is not the parent, and that of a batch in any case.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[non_exhaustive]
    pub enum Parent {
        /// The message's creation context, even inside an active span. The span is a root for a
        /// batch, and if [`Incoming`] is not `Continue`.
        Message,
        /// The active span, even if it was active before the message was delivered. Without one, as
        /// for `Message`.
        Ambient,
        /// None: the span starts a trace of its own.
        Root,
    }
}

choice! {
    /// How a context is used that a message already carries when it is sent, see
    /// [`Rule::carried`](crate::policy::Rule::carried).
    ///
    /// Such a message is forwarded, retried or dead-lettered, or the application has given it a
    /// context.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    #[non_exhaustive]
    pub enum Carried {
        /// The send span links to the carried context, and is its child if no span is active.
        /// Carried baggage is sent too; the ambient baggage has precedence for members of the same
        /// name.
        #[default]
        Continue,
        /// The send span links to the carried context and is never its child. Baggage as for
        /// `Continue`.
        LinkOnly,
        /// What the message carries is removed, and the send span does not link to it.
        Ignore,
    }
}
