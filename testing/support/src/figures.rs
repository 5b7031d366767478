//! Statistics of benchmarks.

/// Median; of an even number of figures the upper one in the middle.
///
/// # Panics
///
/// If there is none.
pub fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.into_iter().collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
