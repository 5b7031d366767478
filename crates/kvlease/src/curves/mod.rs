//! Curves: what was measured over what was varied.

#[cfg(feature = "plot")]
pub(crate) mod plot;

use serde::Serialize;

/// Curves over the same axis, in one unit.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    /// Name of the drawn file, without its ending.
    pub(crate) name: String,
    pub(crate) title: String,
    /// The varied quantity.
    pub(crate) x: &'static str,
    /// The measured quantity, with its unit.
    pub(crate) y: &'static str,
    pub(crate) series: Vec<Series>,
}

/// One curve.
#[derive(Debug, Serialize)]
pub(crate) struct Series {
    pub(crate) name: &'static str,
    /// Pairs of x and y, in the order of x.
    pub(crate) points: Vec<(f64, f64)>,
}

impl Figure {
    /// A figure without curves yet.
    pub(crate) fn new(
        name: impl Into<String>,
        title: impl Into<String>,
        x: &'static str,
        y: &'static str,
    ) -> Self {
        Self { name: name.into(), title: title.into(), x, y, series: Vec::new() }
    }

    /// Adds a point at the end of a curve. A curve begins with its first point.
    pub(crate) fn add(&mut self, name: &'static str, x: f64, y: f64) {
        match self.series.iter_mut().find(|series| series.name == name) {
            Some(series) => series.points.push((x, y)),
            None => self.series.push(Series { name, points: vec![(x, y)] }),
        }
    }

    /// The places at which anything was measured, ascending.
    pub(crate) fn places(&self) -> Vec<f64> {
        let points = self.series.iter().flat_map(|series| &series.points);
        let mut places: Vec<f64> = points.map(|point| point.0).collect();
        places.sort_unstable_by(f64::total_cmp);
        places.dedup();
        places
    }
}

impl Series {
    /// Value at a place.
    pub(crate) fn at(&self, x: f64) -> Option<f64> {
        self.points.iter().find(|point| point.0 == x).map(|point| point.1)
    }

    /// Exponent of growth between the first and the last point: 0 does not grow, 1 grows as x does.
    pub(crate) fn growth(&self) -> Option<f64> {
        let ((x0, y0), (x1, y1)) = (*self.points.first()?, *self.points.last()?);
        let exponent = (y1 / y0).ln() / (x1 / x0).ln();
        exponent.is_finite().then_some(exponent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_the_exponent() {
        let series = |points: &[(f64, f64)]| Series { name: "a", points: points.to_vec() };
        let growth = |points| series(points).growth().map(|growth| (growth * 10.0).round());
        assert_eq!(growth(&[(10.0, 3.0), (20.0, 9.0), (1000.0, 3.0)]), Some(0.0));
        assert_eq!(growth(&[(10.0, 3.0), (1000.0, 300.0)]), Some(10.0));
        assert_eq!(growth(&[(10.0, 3.0), (1000.0, 30000.0)]), Some(20.0));
        assert_eq!(growth(&[(10.0, 3.0)]), None);
        assert_eq!(growth(&[]), None);
    }

    #[test]
    fn a_point_goes_to_its_curve() {
        let mut figure = Figure::new("f", "F", "x", "y");
        for (name, x) in [("a", 2.0), ("b", 1.0), ("a", 3.0), ("b", 2.0)] {
            figure.add(name, x, x * 10.0);
        }
        assert_eq!(figure.places(), [1.0, 2.0, 3.0]);
        assert_eq!(figure.series.len(), 2);
        assert_eq!(figure.series[0].at(3.0), Some(30.0));
        assert_eq!(figure.series[1].at(3.0), None);
    }
}
