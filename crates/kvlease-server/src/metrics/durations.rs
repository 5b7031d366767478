//! Histogram of durations.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::{MetricType, TypedMetric},
};

use super::duration_counts::{DurationCounts, FACTOR};

/// How many durations are in each of `BUCKETS` buckets, and their sum. The first bucket ends at
/// `FIRST_MICROS` microseconds, the last is unbounded. A batch costs a handful of atomic additions, however
/// many durations it has; an ordinary histogram locks for each.
#[derive(Debug)]
pub(super) struct Durations<const FIRST_MICROS: u64, const BUCKETS: usize>(Arc<Counts<BUCKETS>>);

#[derive(Debug)]
struct Counts<const BUCKETS: usize> {
    buckets: [AtomicU64; BUCKETS],
    nanoseconds: AtomicU64,
}

impl<const FIRST_MICROS: u64, const BUCKETS: usize> Durations<FIRST_MICROS, BUCKETS> {
    /// Counts durations.
    pub(super) fn observe(&self, durations: impl Iterator<Item = Duration>) {
        let (mut buckets, mut sum) = ([0; BUCKETS], 0);
        for duration in durations {
            let nanoseconds = nanoseconds(duration);
            buckets[Self::bucket(nanoseconds)] += 1;
            sum += nanoseconds;
        }
        let counts = self.0.buckets.iter().zip(buckets);
        counts.filter(|(_, more)| *more > 0).for_each(|(count, more)| {
            count.fetch_add(more, Relaxed);
        });
        self.0.nanoseconds.fetch_add(sum, Relaxed);
    }

    /// Counts one duration.
    pub(super) fn observe_one(&self, duration: Duration) {
        let nanoseconds = nanoseconds(duration);
        self.0.buckets[Self::bucket(nanoseconds)].fetch_add(1, Relaxed);
        self.0.nanoseconds.fetch_add(nanoseconds, Relaxed);
    }

    /// The counts of this moment.
    pub(super) fn counts(&self) -> DurationCounts<FIRST_MICROS, BUCKETS> {
        DurationCounts(self.0.buckets.each_ref().map(|count| count.load(Relaxed)))
    }

    /// The bucket of a duration: the first whose bound it does not exceed.
    fn bucket(nanoseconds: u64) -> usize {
        let bounds = DurationCounts::<FIRST_MICROS, BUCKETS>::BOUNDS;
        let found = bounds.iter().position(|bound| nanoseconds <= *bound);
        found.expect("no duration exceeds the last bound")
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl<const FIRST_MICROS: u64, const BUCKETS: usize> Clone for Durations<FIRST_MICROS, BUCKETS> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<const FIRST_MICROS: u64, const BUCKETS: usize> Default for Durations<FIRST_MICROS, BUCKETS> {
    fn default() -> Self {
        let buckets = [const { AtomicU64::new(0) }; BUCKETS];
        Self(Arc::new(Counts { buckets, nanoseconds: AtomicU64::new(0) }))
    }
}

impl<const FIRST_MICROS: u64, const BUCKETS: usize> EncodeMetric
    for Durations<FIRST_MICROS, BUCKETS>
{
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let mut bound = Duration::from_micros(FIRST_MICROS).as_secs_f64();
        let mut buckets = [(f64::INFINITY, 0); BUCKETS];
        for (index, (bucket, count)) in buckets.iter_mut().zip(&self.0.buckets).enumerate() {
            let last = index + 1 == BUCKETS;
            *bucket = (if last { f64::INFINITY } else { bound }, count.load(Relaxed));
            bound *= FACTOR as f64;
        }
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = Duration::from_nanos(self.0.nanoseconds.load(Relaxed)).as_secs_f64();
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl<const FIRST_MICROS: u64, const BUCKETS: usize> TypedMetric
    for Durations<FIRST_MICROS, BUCKETS>
{
    const TYPE: MetricType = MetricType::Histogram;
}

#[cfg(test)]
mod tests {
    use prometheus_client::{encoding::text::encode, registry::Registry};

    use super::*;

    #[test]
    fn durations_are_counted_in_their_buckets() {
        let durations = Durations::<100, 14>::default();
        let millis = [0, 1, 1, 2_000_000].map(Duration::from_millis);
        durations.observe(millis.into_iter());
        durations.observe_one(Duration::from_micros(100));
        let mut registry = Registry::default();
        registry.register("d", "Durations", durations.clone());
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "d_count 5",
            "d_sum 2000.0021",
            "d_bucket{le=\"0.0001\"} 2",
            "d_bucket{le=\"0.0004\"} 2",
            "d_bucket{le=\"0.0016\"} 4",
            "d_bucket{le=\"+Inf\"} 5",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
        assert_eq!(durations.counts().0[..3], [2, 0, 2]);
        assert_eq!(durations.counts().total(), 5);
    }
}
