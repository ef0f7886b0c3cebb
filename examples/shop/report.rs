//! What a service tells the program that has started it: lines of JSON, on its standard output.

use std::io::{self, Write as _};

use serde::{Deserialize, Serialize};

use crate::counts::Counts;
use crate::order::Order;
use crate::span::Span;

/// One line.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Report {
    /// It works now; for one that takes requests, where.
    Ready { address: Option<String> },
    /// So long the message of an order was in a queue.
    Waited {
        order: String,
        broker: Broker,
        micros: u64,
    },
    /// An order is done with: it was shipped, or has failed for good.
    Done { order: String, is_shipped: bool },
    /// Spans until now, at the end of the service.
    Counted(Counts),
    /// A span that has ended, if the parent draws it.
    Span(Span),
}

/// A broker that an order waits at.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub(crate) enum Broker {
    Kafka,
    #[serde(rename = "RabbitMQ")]
    RabbitMq,
    #[serde(rename = "NATS")]
    Nats,
}

/// Tells the parent, if there is one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reports {
    pub(crate) has_parent: bool,
}

impl Reports {
    pub(crate) fn tell(self, report: &Report) {
        if self.has_parent
            && let Ok(line) = serde_json::to_string(report)
        {
            // It fails if the parent is gone, which ends the service in another way.
            let _ = writeln!(io::stdout(), "{line}");
        }
    }

    /// The message of this order is taken from its queue.
    pub(crate) fn waited(self, broker: Broker, order: &Order) {
        self.tell(&Report::Waited {
            order: order.id.clone(),
            broker,
            micros: u64::try_from(order.waited().as_micros()).unwrap_or(u64::MAX),
        });
    }
}
