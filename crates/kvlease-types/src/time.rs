//! Moments, for code that is handed the time instead of reading a clock.

use std::time::Duration;

/// A moment on a monotonic clock, in nanoseconds since that clock's origin.
///
/// The daemon reads it from `CLOCK_BOOTTIME`, whose origin is the boot of the machine: readings
/// of two processes can be compared, and the clock goes on while the machine sleeps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The moment this many nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the origin.
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// The moment `span` later; the last one that 64 bits can hold if that is beyond them.
    pub fn after(self, span: Duration) -> Self {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }

    /// The time from `earlier` to this moment; zero if `earlier` is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_saturate_instead_of_wrapping() {
        let early = Timestamp::from_nanos(5);
        let late = early.after(Duration::from_nanos(10));
        assert_eq!(late.since(early), Duration::from_nanos(10));
        assert_eq!(early.since(late), Duration::ZERO);
        assert_eq!(early.after(Duration::MAX), Timestamp::from_nanos(u64::MAX));
    }
}
