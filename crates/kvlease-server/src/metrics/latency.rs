//! Histograms of the time to an answer.

use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

/// Upper bounds of the latency buckets: 25 µs to 26 s, four-fold.
const BUCKETS: (f64, f64, u16) = (25e-6, 4.0, 11);

/// A histogram of times to an answer.
pub(super) fn histogram() -> Histogram {
    let (start, factor, count) = BUCKETS;
    Histogram::new(exponential_buckets(start, factor, count))
}
