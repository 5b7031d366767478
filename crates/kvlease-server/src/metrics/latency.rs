//! Histograms of the time to an answer.

use super::{duration_counts::DurationCounts, durations::Durations};

/// End of the first bucket: 25 µs.
const FIRST_MICROS: u64 = 25;

/// Buckets, the unbounded one included: 25 µs to 26 s, four-fold.
const BUCKETS: usize = 12;

/// A histogram of times to an answer.
pub(super) type Latencies = Durations<FIRST_MICROS, BUCKETS>;

/// The counts of one at one moment.
pub(crate) type LatencyCounts = DurationCounts<FIRST_MICROS, BUCKETS>;
