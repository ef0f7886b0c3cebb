//! Quantiles of durations in little room: counts by size, to one part in sixteen.

use std::time::Duration;

/// How many durations there were of each size.
#[derive(Clone, Debug, Default)]
pub(crate) struct Quantiles {
    counts: Vec<u64>,
    total: u64,
}

const PARTS: u64 = 16;

impl Quantiles {
    pub(crate) fn add(&mut self, duration: Duration) {
        let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let place = place(milliseconds);
        if self.counts.len() <= place {
            self.counts.resize(place + 1, 0);
        }
        if let Some(count) = self.counts.get_mut(place) {
            *count += 1;
            self.total += 1;
        }
    }

    /// The duration that this share of them does not exceed.
    pub(crate) fn at(&self, percent: u64) -> Option<Duration> {
        let wanted = (self.total * percent).div_ceil(100).max(1);
        let mut seen = 0;
        let place = self.counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        })?;
        Some(Duration::from_millis(least(place as u64)))
    }
}

fn place(milliseconds: u64) -> usize {
    let bits = u64::BITS - milliseconds.leading_zeros();
    let shift = u64::from(bits.saturating_sub(5));
    (shift * PARTS + (milliseconds >> shift)) as usize
}

/// The least that has this place.
const fn least(place: u64) -> u64 {
    match place < 2 * PARTS {
        true => place,
        false => (PARTS + place % PARTS) << (place / PARTS - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_off_by_a_sixteenth_at_most() {
        for milliseconds in (0..20).chain([100, 999, 12_345, 86_400_000, u64::MAX / 3]) {
            let mut quantiles = Quantiles::default();
            quantiles.add(Duration::from_millis(milliseconds));
            let told = quantiles.at(50).map(|duration| duration.as_millis());
            let told = u64::try_from(told.unwrap_or_default()).unwrap_or_default();
            assert!(told <= milliseconds && milliseconds - told <= milliseconds / 16);
        }
    }

    #[test]
    fn half_of_all_are_not_above_the_median() {
        let mut quantiles = Quantiles::default();
        assert!(quantiles.at(50).is_none());
        for milliseconds in [1, 2, 3, 20, 30] {
            quantiles.add(Duration::from_millis(milliseconds));
        }
        assert_eq!(quantiles.at(50), Some(Duration::from_millis(3)));
        assert_eq!(quantiles.at(99), Some(Duration::from_millis(30)));
    }
}
