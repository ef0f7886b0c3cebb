//! How much a side has to do.

use std::time::Duration;

/// Bytes that a side sends in a millisecond, and at a time: all that a case sends has to have a place on the small disks
/// of the brokers, and no case waits long for what is sent next.
const MOST: usize = 200;
const AT_A_TIME: usize = 200_000;

/// What a consumer takes for a message beside its handler, at most.
const HANDLED: Duration = Duration::from_millis(1);

/// Between two calls of all tasks where there are few.
const SELDOM: Duration = Duration::from_millis(20);

/// How much there is to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Tasks that send, each one call after the other.
    pub(crate) senders: usize,
    /// Messages of one call. Over one, they are sent and received in batches.
    pub(crate) together: usize,
    /// Bytes of a message.
    pub(crate) size: usize,
    /// Between two calls of a task.
    pub(crate) pause: Duration,
    /// What a handler takes.
    pub(crate) handling: Duration,
    /// The disturbance destroys messages: what was acknowledged before it ended may be lost.
    pub(crate) destroys: bool,
}

impl Plan {
    /// That of the short form.
    pub(crate) const SHORT: Self = Self {
        senders: 4,
        together: 1,
        size: 200,
        pause: Duration::from_millis(4),
        handling: Duration::ZERO,
        destroys: false,
    };

    /// With few messages on their way at a time, each in a call of its own.
    pub(crate) fn single(self) -> Self {
        Self {
            senders: self.senders.min(Self::SHORT.senders),
            together: 1,
            pause: self.pause / self.together as u32,
            ..self
        }
    }

    /// With so few calls that nothing of the consumer is on its way between most of them.
    pub(crate) fn seldom(self) -> Self {
        Self {
            pause: self.pause.max(SELDOM * self.senders as u32),
            ..self
        }
    }

    /// With messages that are lost by what is done.
    pub(crate) fn destroying(self) -> Self {
        Self {
            destroys: true,
            ..self
        }
    }

    /// As much as brokers and consumers bear: a consumer that is behind would have to be waited for.
    pub(crate) fn bounded(self) -> Self {
        let messages = self.senders * self.together;
        let size = self.size.min(AT_A_TIME / messages);
        let sent = Duration::from_millis((messages * size / MOST) as u64);
        // A timer has whoever waits for it wait longer.
        let handled = (HANDLED + 2 * self.handling) * messages as u32;
        Self {
            size,
            pause: self.pause.max(sent).max(handled),
            ..self
        }
    }
}
