//! What goes from service to service.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An order, as JSON in the body of a message.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Order {
    pub(crate) id: String,
    pub(crate) kind: Kind,
    pub(crate) item: String,
    /// When the message was sent that it is in, in microseconds since 1970. Not all brokers tell it.
    sent_at: u64,
}

/// What will become of it.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    #[default]
    Ordinary,
    /// Nobody knows its address.
    Failing,
    /// It takes over a second.
    Slow,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ordinary => "ordinary",
            Self::Failing => "failing",
            Self::Slow => "slow",
        }
    }
}

/// What a customer sends: `{"item": "two books", "kind": "slow"}`.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Wish {
    pub(crate) item: String,
    #[serde(default)]
    pub(crate) kind: Kind,
}

/// What a customer gets for it.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Taken {
    pub(crate) order: String,
    pub(crate) trace: String,
    pub(crate) is_sampled: bool,
}

impl From<Wish> for Order {
    fn from(Wish { item, kind }: Wish) -> Self {
        Self {
            id: Uuid::new_v4().to_string(),
            kind,
            item,
            sent_at: 0,
        }
    }
}

impl Order {
    /// The body of a message that is sent now.
    pub(crate) fn body(&self) -> serde_json::Result<Vec<u8>> {
        let sent = Self {
            sent_at: now(),
            ..self.clone()
        };
        serde_json::to_vec(&sent)
    }

    pub(crate) fn read(body: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(body)
    }

    /// How long the message has waited until now.
    pub(crate) fn waited(&self) -> Duration {
        Duration::from_micros(now().saturating_sub(self.sent_at))
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_micros()).unwrap_or(u64::MAX)
}
