//! Durations and their summary.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// Durations of one kind.
#[derive(Clone, Default, Debug)]
pub(super) struct Spans(Vec<Duration>);

/// Summary of the durations of one kind, in milliseconds.
#[derive(Clone, Copy, PartialEq, Default, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// Number of durations.
    pub count: usize,
    /// Median.
    pub p50_ms: f64,
    /// Longest duration.
    pub max_ms: f64,
}

impl Spans {
    pub(super) fn add(&mut self, span: Duration) {
        self.0.push(span);
    }

    pub(super) fn add_all(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    pub(super) fn summary(&self) -> Summary {
        let mut spans = self.0.clone();
        spans.sort_unstable();
        let ms = |span: Option<&Duration>| span.map_or(0.0, |span| span.as_secs_f64() * 1e3);
        let middle = spans.get(spans.len().saturating_sub(1) / 2);
        Summary { count: spans.len(), p50_ms: ms(middle), max_ms: ms(spans.last()) }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:.1}, {:.1}", self.p50_ms, self.max_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_spans_are_no_longer_than_the_median() {
        let mut spans = Spans::default();
        assert_eq!(spans.summary(), Summary::default());
        for ms in [9, 1, 3, 2] {
            spans.add(Duration::from_millis(ms));
        }
        assert_eq!(spans.summary(), Summary { count: 4, p50_ms: 2.0, max_ms: 9.0 });
    }
}
