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
    /// What is recorded of a destination's messages.
    ///
    /// None of these cuts a trace: what a message carries is current in its handler, and reaches what
    /// the handler sends.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    #[non_exhaustive]
    pub enum Record {
        /// Spans and metrics.
        #[default]
        Full,
        /// Metrics, but no span. A message is sent with the context that is current.
        PropagateOnly,
        /// Nothing. A message is sent as the bare client would.
        Off,
    }
}

choice! {
    /// What becomes of the context that a received message carries.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    #[non_exhaustive]
    pub enum Incoming {
        /// The process span is a child of the creation context and links to it. A span that was opened
        /// since the message was delivered stays the parent, see
        /// [`Rule::parent`](crate::policy::Rule::parent).
        #[default]
        Continue,
        /// The process span links to the creation context and starts a trace of its own. The baggage is
        /// current in the handler. Where no span is recorded there is nothing to link from, and the
        /// context goes on as in `Continue`.
        LinkOnly,
        /// For senders who are not trusted: the process span starts a trace of its own and links to the
        /// identity of the creation context. Its sampled flag, tracestate and baggage are dropped, and do
        /// not go out again with headers that the handler forwards. That goes for whatever context a
        /// message has that is sent inside the handler, by whomever it was put there. After the handler
        /// has ended nobody knows any more where such headers are from (see [`Carried`]), unless they
        /// are sent in [the message's context](crate::Received::creation_context).
        Restart,
        /// As if the message carried no context.
        Ignore,
    }
}

choice! {
    /// What the span of processing a message is a child of.
    ///
    /// Whatever is not the parent is linked to: the message's creation context, as far as
    /// [`Incoming`] lets it, and the span that is active.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[non_exhaustive]
    pub enum Parent {
        /// The message's creation context, whatever is active, where [`Incoming::Continue`] holds; else,
        /// and for a batch, the span is a root.
        Message,
        /// The span that is active, even if it was active before the message was delivered; where none
        /// is, as for `Message`.
        Ambient,
        /// Nothing: the span starts a trace of its own.
        Root,
    }
}

choice! {
    /// What becomes of the context that a message to be sent carries already: a message that is
    /// forwarded, retried or dead-lettered, or one that the application gave a context.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    #[non_exhaustive]
    pub enum Carried {
        /// Where no span is active, the send span is a child of the carried context. It links to it in
        /// any case. Carried baggage is sent along; of members with the same name the current one is.
        #[default]
        Continue,
        /// The send span links to the carried context and is never its child. Baggage as in `Continue`.
        LinkOnly,
        /// As if the message carried none: what it carries is removed.
        Ignore,
    }
}
