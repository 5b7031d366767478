//! Medians and percentiles.

use std::time::Duration;

/// The median, or `None` of nothing.
pub(super) fn median(figures: &[f64]) -> Option<f64> {
    let mut sorted = figures.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    Some(match sorted.len() % 2 {
        0 => (sorted[sorted.len() / 2 - 1] + upper) / 2.0,
        _ => upper,
    })
}

/// The value that this share of all, from 0 to 1, does not exceed, in microseconds.
pub(super) fn percentile_us(sorted: &[Duration], share: f64) -> f64 {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    let value = sorted.get(rank.clamp(1, sorted.len().max(1)) - 1);
    value.map_or(0.0, |value| value.as_secs_f64() * 1e6)
}

/// A rate in GB/s, of 10^9 bytes.
pub(super) fn gb_per_s(bytes: u64, wall: Duration) -> f64 {
    bytes as f64 / 1e9 / wall.as_secs_f64().max(1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_even_and_odd_counts() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 5.0]), Some(5.0));
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let sorted: Vec<_> = (1..=100).map(Duration::from_micros).collect();
        assert_eq!(percentile_us(&sorted, 0.5).round(), 50.0);
        assert_eq!(percentile_us(&sorted, 0.99).round(), 99.0);
        assert_eq!(percentile_us(&sorted, 1.0).round(), 100.0);
        assert_eq!(percentile_us(&[], 0.5), 0.0);
    }
}
