//! Where the last so many messages of a stream begin, of which any may be deleted.

use async_nats::jetstream::stream::{State, Stream};

use crate::output;

/// Numbers of deleted messages that the server is asked for; each takes about ten bytes.
const MOST_DELETED: u64 = 1_000_000;

/// The number of the first of them.
pub(super) async fn first_of_last(stream: &Stream, shown: &str, count: u64) -> Result<u64, String> {
    let state = &stream.cached_info().state;
    if state.messages <= count {
        return Ok(state.first_sequence.max(1));
    }
    let mut deleted = Vec::new();
    match gaps(state) {
        0 => {}
        1..=MOST_DELETED => {
            let info = stream.info_builder().with_deleted(true).fetch().await;
            let info = info.map_err(|error| error.to_string())?.info;
            deleted = info.state.deleted.unwrap_or_default();
            deleted.sort_unstable();
        }
        gaps => output::complain(&format!(
            "{shown}: {gaps} of its messages are deleted; of the last {count} numbers, what is left is read"
        )),
    }
    let begin = begin(state.last_sequence, &deleted, count);
    Ok(begin.max(state.first_sequence).max(1))
}

const fn gaps(state: &State) -> u64 {
    let end = state.last_sequence.saturating_add(1);
    let numbers = end.saturating_sub(state.first_sequence);
    numbers.saturating_sub(state.messages)
}

/// From the end back, over as many as are there.
fn begin(last: u64, deleted: &[u64], count: u64) -> u64 {
    let (mut end, mut left) = (last, count);
    for gap in deleted.iter().rev().filter(|gap| **gap <= last) {
        let between = end.saturating_sub(*gap);
        if between >= left {
            break;
        }
        left -= between;
        end = gap.saturating_sub(1);
    }
    end.saturating_add(1).saturating_sub(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_deleted_is_not_among_the_last() {
        for (last, deleted, count, expected) in [
            (10, [].as_slice(), 3, 8),
            (10, &[], 0, 11),
            (10, &[3, 4, 5, 6, 7, 8, 9], 2, 2),
            (10, &[3, 4, 5, 6, 7, 8, 9], 1, 10),
            (10, &[9, 10], 2, 7),
            (10, &[2, 5, 9], 4, 6),
            (10, &[2, 5, 9], 5, 4),
            // Deleted, and written, since it was known what is the last.
            (10, &[9, 12, 13], 2, 8),
            (3, &[], 7, 0),
        ] {
            assert_eq!(
                begin(last, deleted, count),
                expected,
                "{last} {deleted:?} {count}"
            );
        }
    }
}
