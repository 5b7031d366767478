//! Histogram of durations that come in batches.

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
    metrics::MetricType,
};

/// Upper bound of the first bucket.
const FIRST: Duration = Duration::from_micros(100);

/// Factor from the bound of one bucket to that of the next.
const FACTOR: u64 = 4;

/// Buckets, the unbounded one included: 100 µs to 26 min, four-fold.
const BUCKETS: usize = 14;

/// How many durations are in each bucket, and their sum. A batch costs a handful of atomic
/// additions, however many durations it has; an ordinary histogram locks for each.
#[derive(Clone, Default, Debug)]
pub(super) struct Durations(Arc<Counts>);

#[derive(Default, Debug)]
struct Counts {
    buckets: [AtomicU64; BUCKETS],
    nanoseconds: AtomicU64,
}

impl Durations {
    pub(super) fn observe(&self, durations: impl Iterator<Item = Duration>) {
        let (mut buckets, mut sum) = ([0; BUCKETS], Duration::ZERO);
        for duration in durations {
            buckets[bucket(duration)] += 1;
            sum += duration;
        }
        let counts = self.0.buckets.iter().zip(buckets);
        counts.filter(|(_, more)| *more > 0).for_each(|(count, more)| {
            count.fetch_add(more, Relaxed);
        });
        let nanoseconds = u64::try_from(sum.as_nanos()).unwrap_or(u64::MAX);
        self.0.nanoseconds.fetch_add(nanoseconds, Relaxed);
    }
}

/// The upper bounds of all buckets but the unbounded one, in nanoseconds.
const BOUNDS: [u64; BUCKETS - 1] = {
    let (mut bounds, mut index) = ([FIRST.as_nanos() as u64; BUCKETS - 1], 1);
    while index < bounds.len() {
        bounds[index] = bounds[index - 1] * FACTOR;
        index += 1;
    }
    bounds
};

/// The bucket of a duration: the first whose bound it does not exceed.
fn bucket(duration: Duration) -> usize {
    let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    BOUNDS.iter().position(|bound| nanoseconds <= *bound).unwrap_or(BOUNDS.len())
}

impl EncodeMetric for Durations {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let mut bound = FIRST.as_secs_f64();
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
        MetricType::Histogram
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::{encoding::text::encode, registry::Registry};

    use super::*;

    #[test]
    fn a_batch_is_counted_in_its_buckets() {
        let durations = Durations::default();
        let millis = [0, 1, 1, 2_000_000].map(Duration::from_millis);
        durations.observe(millis.into_iter());
        durations.observe([FIRST].into_iter());
        let mut registry = Registry::default();
        registry.register("d", "Durations", durations);
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
    }
}
