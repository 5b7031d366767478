//! Ring of samples: the latest of one span.

use std::collections::VecDeque;

use kvlease_api::{HISTORY_SAMPLES_MAX, HistorySpan};

use super::sample::{Reading, Sample, Totals};

/// The latest samples of a span, in a memory that is fixed at the start.
#[derive(Debug)]
pub(super) struct Ring {
    /// Ticks from one sample to the next.
    every: u64,
    ticks: u64,
    totals: Totals,
    samples: VecDeque<Sample>,
}

impl Ring {
    /// Empty ring. A tick comes at each interval of the shortest span.
    pub(super) fn new(span: HistorySpan) -> Self {
        Self {
            every: span.interval_s() / HistorySpan::Hour.interval_s(),
            ticks: 0,
            totals: Totals::ZERO,
            samples: VecDeque::with_capacity(HISTORY_SAMPLES_MAX),
        }
    }

    /// Takes a sample, if it is time for one: at the first tick, and as often as the span says from then
    /// on. The oldest leaves for it.
    pub(super) fn tick(&mut self, at: f64, reading: &Reading) {
        let is_due = self.ticks.is_multiple_of(self.every);
        self.ticks += 1;
        if !is_due {
            return;
        }
        if self.samples.len() == HISTORY_SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back(self.totals.sample(at, reading));
    }

    /// The samples behind a time, oldest first.
    pub(super) fn samples(&self, since: f64) -> Vec<Sample> {
        let from = self.samples.partition_point(|sample| sample.at <= since);
        self.samples.range(from..).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::sample::tests::value, *};

    #[test]
    fn a_ring_is_bounded_and_a_longer_span_has_fewer_samples() {
        let [mut hour, mut day] = HistorySpan::ALL.map(Ring::new);
        let ticks = HISTORY_SAMPLES_MAX as u64 + 10;
        for tick in 1..=ticks {
            let at = 100.0 + tick as f64;
            [&mut hour, &mut day].into_iter().for_each(|ring| {
                ring.tick(at, &Reading::with("hits", 2 * tick));
            });
        }
        let samples = hour.samples(0.0);
        assert_eq!((samples.len(), samples[0].at), (HISTORY_SAMPLES_MAX, 111.0));
        assert!(samples.iter().all(|sample| value(sample, "hits") == Some(2.0)));
        let samples = day.samples(0.0);
        assert_eq!((samples.len() as u64, samples[0].at), (ticks.div_ceil(24), 101.0));
        assert_eq!(value(&samples[1], "hits"), Some(48.0), "all since the sample before");
        let last = 100.0 + ticks as f64;
        assert_eq!(hour.samples(last - 1.0).len(), 1);
        assert_eq!((hour.samples(last).len(), hour.samples(f64::MAX).len()), (0, 0));
    }

    #[test]
    fn samples_take_as_much_memory_as_is_documented() {
        let bytes = HistorySpan::ALL.len() * HISTORY_SAMPLES_MAX * size_of::<Sample>();
        assert!((300 << 10..512 << 10).contains(&bytes), "{bytes}");
    }
}
