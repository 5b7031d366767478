//! Limit of the rate at which objects are copied to a tier.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use kvlease_types::ByteSize;

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// Limit of the rate at which objects are copied to a tier.
///
/// Time that is not used is not saved up: after a pause one object goes at once, and the next ones keep
/// their distance. So the device never has to take more than one object beyond the rate.
#[derive(Default, Debug)]
pub(crate) struct Pace {
    /// When the rate allows the next copy.
    next: Mutex<Option<Instant>>,
}

impl Pace {
    /// Gives `len` bytes their turn, and returns the time until then.
    pub(crate) fn reserve(&self, len: ByteSize, rate_max: ByteSize, now: Instant) -> Duration {
        let nanos = u128::from(len.bytes()) * NANOS_PER_SECOND;
        let nanos = nanos / u128::from(rate_max.bytes().max(1));
        let takes = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = next.filter(|next| *next > now).unwrap_or(now);
        // A turn beyond the end of time is as good as the last one.
        *next = turn.checked_add(takes).or(Some(turn));
        turn - now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_keep_the_rate_and_a_pause_saves_nothing_up() {
        let (pace, start) = (Pace::default(), Instant::now());
        let reserve = |mib, millis| {
            let now = start + Duration::from_millis(millis);
            pace.reserve(ByteSize::mib(mib), ByteSize::mib(10), now).as_millis()
        };
        assert_eq!(reserve(1, 0), 0, "the first one goes at once");
        assert_eq!(reserve(2, 0), 100, "the next one waits for 1 MiB at 10 MiB/s");
        assert_eq!(reserve(1, 0), 300);
        assert_eq!(reserve(1, 350), 50);
        assert_eq!(reserve(1, 10_000), 0, "a pause");
        assert_eq!(reserve(1, 10_000), 100, "which saved nothing up");
    }

    #[test]
    fn any_length_and_any_rate_have_a_turn() {
        let (pace, now) = (Pace::default(), Instant::now());
        assert_eq!(pace.reserve(ByteSize::new(u64::MAX), ByteSize::new(1), now), Duration::ZERO);
        pace.reserve(ByteSize::new(u64::MAX), ByteSize::new(0), now);
        assert!(pace.reserve(ByteSize::mib(1), ByteSize::mib(1), now) > Duration::from_secs(1));
    }
}
