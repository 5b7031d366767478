//! Rates of a daemon, from two of its samples.

use crate::nodes::Sample;

/// Metrics of bytes that clients store: over HTTP, and over the fast lane.
const STORED: [&str; 2] = ["kvlease_received_bytes_total", "kvlease_lane_written_bytes_total"];

/// Metrics of requests, over HTTP and over the fast lane.
const REQUESTS: [&str; 2] = ["kvlease_requests_total", "kvlease_lane_requests_total"];

/// Work of a daemon between two samples, by the second.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Rates {
    pub(super) requests: f64,
    pub(super) hits: f64,
    pub(super) misses: f64,
    /// Bytes that were stored.
    pub(super) stored: f64,
    pub(super) evictions: f64,
}

impl Rates {
    /// Rates between a sample and a later one. `None` if one has no account, or the daemon was started
    /// between them.
    pub(super) fn between(earlier: &Sample, later: &Sample) -> Option<Self> {
        let seconds = later.taken.duration_since(earlier.taken).as_secs_f64();
        let (before, after) = (earlier.stats.as_ref()?, later.stats.as_ref()?);
        if before.epoch != after.epoch || seconds <= 0.0 {
            return None;
        }
        let of = |before: u64, after: u64| after.saturating_sub(before) as f64 / seconds;
        let metrics = |names: &[&str]| {
            let sum = |sample: &Sample| -> f64 {
                names.iter().map(|name| sample.metrics.total(name)).sum()
            };
            (sum(later) - sum(earlier)).max(0.0) / seconds
        };
        Some(Self {
            requests: metrics(&REQUESTS),
            hits: of(before.hits, after.hits),
            misses: of(before.misses, after.misses),
            stored: metrics(&STORED),
            evictions: of(before.evictions, after.evictions),
        })
    }

    /// Hits by all that were asked for; `None` if nothing was.
    pub(super) fn hit_ratio(&self) -> Option<f64> {
        let all = self.hits + self.misses;
        (all > 0.0).then(|| self.hits / all)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::top::board::tests::sample;

    #[test]
    fn rates_are_differences_by_the_second() {
        let earlier = sample("1", 10, 5, "kvlease_received_bytes_total 1000\n");
        let mut later = sample(
            "1",
            40,
            15,
            "kvlease_received_bytes_total 2000\nkvlease_lane_written_bytes_total 3000\n",
        );
        later.taken = earlier.taken + Duration::from_secs(2);
        let rates = Rates::between(&earlier, &later).unwrap();
        assert_eq!((rates.hits, rates.misses, rates.stored), (15.0, 5.0, 2000.0));
        assert_eq!(rates.hit_ratio(), Some(0.75));
    }

    #[test]
    fn a_restart_and_silence_have_no_rates() {
        let earlier = sample("1", 10, 5, "");
        let mut later = sample("2", 0, 0, "");
        later.taken = earlier.taken + Duration::from_secs(1);
        assert_eq!(Rates::between(&earlier, &later), None);
        let mut idle = sample("1", 10, 5, "");
        idle.taken = earlier.taken + Duration::from_secs(1);
        assert_eq!(Rates::between(&earlier, &idle).unwrap().hit_ratio(), None);
    }
}
