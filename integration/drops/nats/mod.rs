//! async-nats' futures, on the nats-server of `NATS_URL`, and on the stand-ins.

mod core_sends;
mod receives;
mod requests;
mod settles;
mod stand_ins;
mod stream_receives;
mod stream_sends;

use crate::given_up;

/// Messages that are sent, received or settled in each way.
fn rounds() -> usize {
    given_up::rounds(100)
}

/// Messages of a batch.
const TOGETHER: usize = 3;
