//! One sample of all series.

use super::{
    figures::Figures,
    series::{SERIES, Value},
};
use crate::metrics::{LatencyCounts, Timed};

/// Values of all series at one time. Where there is none it is not a number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Seconds since 1970.
    pub(crate) at: f64,
    values: [f64; SERIES.len()],
}

/// Values that the series read at one moment; totals are those since the start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    values: [Option<u64>; SERIES.len()],
    latencies: [LatencyCounts; Timed::ALL.len()],
}

/// Totals that the next sample is compared with.
#[derive(Clone, Debug)]
pub(super) struct Totals {
    values: [u64; SERIES.len()],
    latencies: [LatencyCounts; Timed::ALL.len()],
}

impl Reading {
    pub(super) fn of(figures: &Figures) -> Self {
        let values = std::array::from_fn(|place| match SERIES[place].value {
            Value::Now(read) | Value::Count(read) => read(figures),
            Value::Quantile(..) => None,
        });
        Self { values, latencies: figures.traffic.latencies }
    }
}

impl Totals {
    /// Those of the daemon's start.
    pub(super) const ZERO: Self =
        Self { values: [0; SERIES.len()], latencies: [LatencyCounts::NONE; Timed::ALL.len()] };

    /// The sample of a reading. The totals are its from then on.
    pub(super) fn sample(&mut self, at: f64, reading: &Reading) -> Sample {
        let earlier = std::mem::replace(&mut self.latencies, reading.latencies);
        let mut values = [f64::NAN; SERIES.len()];
        for (place, (series, value)) in SERIES.iter().zip(&mut values).enumerate() {
            let found = match series.value {
                Value::Now(_) => reading.values[place].map(|now| now as f64),
                Value::Count(_) => reading.values[place].map(|total| {
                    let before = std::mem::replace(&mut self.values[place], total);
                    total.saturating_sub(before) as f64
                }),
                Value::Quantile(timed, quantile) => {
                    let timed = timed as usize;
                    let lately = reading.latencies[timed].since(&earlier[timed]);
                    lately.quantile(quantile).map(|duration| duration.as_secs_f64())
                }
            };
            *value = found.unwrap_or(f64::NAN);
        }
        Sample { at, values }
    }
}

impl Sample {
    /// Value of the series at this place of [`SERIES`]; `None` where there is none.
    pub(crate) fn get(&self, place: usize) -> Option<f64> {
        Some(self.values[place]).filter(|value| !value.is_nan())
    }

    /// One sample for several, which are not empty: the last of gauges, the sum of counts, and the
    /// longest of times.
    pub(crate) fn merged(samples: &[Self]) -> Self {
        let mut merged = *samples.last().expect("there is a sample at least");
        for (place, series) in SERIES.iter().enumerate() {
            let known = samples.iter().filter_map(|sample| sample.get(place));
            let value = match series.value {
                Value::Now(_) => continue,
                Value::Count(_) => known.reduce(|sum, count| sum + count),
                Value::Quantile(..) => known.reduce(f64::max),
            };
            merged.values[place] = value.unwrap_or(f64::NAN);
        }
        merged
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::history::Series;

    impl Reading {
        /// Reading of nothing, but for one series.
        pub(in crate::history) fn with(name: &str, value: u64) -> Self {
            let mut reading = Self {
                values: [Some(0); SERIES.len()],
                latencies: [LatencyCounts::NONE; Timed::ALL.len()],
            };
            reading.values[Series::place(name)] = Some(value);
            reading
        }
    }

    pub(in crate::history) fn value(sample: &Sample, name: &str) -> Option<f64> {
        sample.get(Series::place(name))
    }

    #[test]
    fn counts_are_those_since_the_sample_before_and_gauges_those_of_the_time() {
        let mut totals = Totals::ZERO;
        let taken: Vec<_> = [5, 5, 12]
            .map(|total| totals.sample(1.0, &Reading::with("hits", total)))
            .iter()
            .map(|sample| value(sample, "hits"))
            .collect();
        assert_eq!(taken, [5.0, 0.0, 7.0].map(Some));
        let sample = totals.sample(2.0, &Reading::with("leases", 4));
        assert_eq!((value(&sample, "leases"), value(&sample, "objects")), (Some(4.0), Some(0.0)));
        assert_eq!(value(&sample, "lease_p99_seconds"), None, "no request, no time");
        let mut unknown = Reading::with("leases", 4);
        unknown.values[Series::place("tiers_used_bytes")] = None;
        assert_eq!(value(&totals.sample(3.0, &unknown), "tiers_used_bytes"), None);
    }

    #[test]
    fn times_are_those_of_the_requests_since_the_sample_before() {
        let mut totals = Totals::ZERO;
        let mut reading = Reading::with("leases", 0);
        let mut observe = |bucket: usize, count: u64| {
            reading.latencies[Timed::Lease as usize].0[bucket] += count;
            value(&totals.sample(1.0, &reading), "lease_p50_seconds").unwrap()
        };
        let [fast, slow] = [(0, 1_000), (3, 10)].map(|(bucket, count)| observe(bucket, count));
        // The first bucket ends at 25 µs, and the fourth begins at 400 µs.
        assert!(fast < 25e-6 && (400e-6..1600e-6).contains(&slow), "{fast} {slow}");
    }

    #[test]
    fn merged_samples_have_the_sum_of_counts_and_the_last_of_gauges() {
        let mut totals = Totals::ZERO;
        let samples: Vec<_> = [(1, 3), (4, 9), (9, 2)]
            .into_iter()
            .map(|(total, leases)| {
                let mut reading = Reading::with("hits", total);
                reading.values[Series::place("leases")] = Some(leases);
                totals.sample(total as f64, &reading)
            })
            .collect();
        let merged = Sample::merged(&samples);
        assert_eq!((value(&merged, "hits"), value(&merged, "leases")), (Some(9.0), Some(2.0)));
        assert_eq!((merged.at, value(&merged, "get_p99_seconds")), (9.0, None));
    }
}
