//! Metrics of a daemon, as a command reads them.

use std::collections::HashMap;

/// Metrics of one answer of `/metrics`.
#[derive(Debug, Default)]
pub(crate) struct Metrics(HashMap<String, f64>);

impl Metrics {
    /// Reads Prometheus' text format: each metric with the sum of its series.
    pub(crate) fn parse(text: &str) -> Self {
        let mut totals = HashMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let name = series.split('{').next().unwrap_or(series);
            if let Ok(value) = value.parse::<f64>() {
                *totals.entry(name.to_owned()).or_insert(0.0) += value;
            }
        }
        Self(totals)
    }

    /// The sum of a metric's series; zero for one that is not there.
    pub(crate) fn total(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_the_sum_of_its_series() {
        let metrics = Metrics::parse(
            "# TYPE a_total counter\na_total{x=\"1 }\"} 2\na_total{x=\"b\"} 0.5\nc 1e3\nbad x\n",
        );
        assert_eq!((metrics.total("a_total"), metrics.total("c")), (2.5, 1000.0));
        assert_eq!(metrics.total("none"), 0.0);
    }
}
