//! The curves as tables, for people and for programs.

use std::fmt::Write as _;

use serde::Serialize;

use crate::{
    curves::{Figure, Series},
    failure::Failure,
    text::{optional, print},
};

/// Width of a column of figures, and of the names before them.
const COLUMN: usize = 10;
const NAMES: usize = 26;

/// Everything that was measured. With `--json` it is printed as it is.
#[derive(Debug, Serialize)]
pub(super) struct ScaleReport {
    /// Version of the program.
    pub(super) version: &'static str,
    /// Name of the processor, and its cores.
    pub(super) processor: String,
    pub(super) cores: usize,
    /// Rounds that every figure is the median of.
    pub(super) rounds: u16,
    pub(super) figures: Vec<Figure>,
    /// Points that the machine has no memory for, and other reasons.
    pub(super) left_out: Vec<String>,
}

impl ScaleReport {
    /// Prints it to stdout.
    pub(super) fn print(&self, json: bool) -> Result<(), Failure> {
        print(self, Self::table, json)
    }

    fn table(&self) -> String {
        let Self { version, processor, cores, rounds, .. } = self;
        let mut text = format!(
            "kvlease {version} on {cores} cores of {processor}, medians of {rounds} rounds\n\
             growth: the exponent from the first to the last column; 0 is flat, 1 grows as the \
             columns do\n"
        );
        self.figures.iter().for_each(|figure| write_figure(&mut text, figure));
        for left_out in &self.left_out {
            // Writing to a String cannot fail.
            let _ = write!(text, "\nLeft out: {left_out}.");
        }
        text
    }
}

fn write_figure(text: &mut String, figure: &Figure) {
    let places = figure.places();
    let _ = write!(text, "\n{}: {}\n{:<NAMES$}", figure.title, figure.y, figure.x);
    for place in &places {
        let _ = write!(text, "{place:>COLUMN$}");
    }
    let _ = writeln!(text, "{:>COLUMN$}", "growth");
    for series in &figure.series {
        let _ = writeln!(text, "{}", row(series, &places));
    }
}

fn row(series: &Series, places: &[f64]) -> String {
    let cell = |figure: Option<f64>| {
        let decimals = match figure {
            Some(figure) if figure >= 1000.0 => 0,
            Some(figure) if figure >= 10.0 => 1,
            _ => 3,
        };
        format!("{:>COLUMN$}", optional(figure, decimals))
    };
    let cells: String = places.iter().map(|place| cell(series.at(*place))).collect();
    format!("{:<NAMES$}{cells}{:>COLUMN$}", series.name, optional(series.growth(), 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_row_for_each_curve_and_dashes_where_nothing_was_measured() {
        let mut figure = Figure::new("calls", "Calls", "objects", "us a key");
        figure.add("get", 10.0, 2.0);
        figure.add("get", 1000.0, 200.0);
        figure.add("put", 1000.0, 12345.6);
        let report = ScaleReport {
            version: "1",
            processor: "P".to_owned(),
            cores: 2,
            rounds: 3,
            figures: vec![figure],
            left_out: vec!["a million objects".to_owned()],
        };
        let table = report.table();
        let rows: Vec<Vec<&str>> =
            table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert!(rows.contains(&vec!["objects", "10", "1000", "growth"]), "{table}");
        assert!(rows.contains(&vec!["get", "2.000", "200.0", "1.00"]), "{table}");
        assert!(rows.contains(&vec!["put", "-", "12346", "-"]), "{table}");
        assert!(table.ends_with("Left out: a million objects."), "{table}");
    }
}
