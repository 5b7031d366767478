//! How sizes, keys and reports are shown.

use std::{
    fmt,
    io::{Write, stderr, stdout},
};

use kvlease_client::Key;
pub(crate) use kvlease_client::human_size;
use serde::Serialize;

use crate::failure::Failure;

/// Says a line on stderr. One that cannot be written is dropped: what a command did is its exit
/// status.
pub(crate) fn note(line: fmt::Arguments<'_>) {
    let _ = writeln!(stderr(), "{line}");
}

/// A key without characters that a terminal would act on.
pub(crate) fn printable(key: &str) -> String {
    if !key.chars().any(char::is_control) {
        return key.to_owned();
    }
    key.chars()
        .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
        .collect()
}

/// The message for an object that is not there.
pub(crate) fn no_such_object(key: &Key) -> String {
    format!("no such object: check the key and the bucket, key=`{}`", printable(key.as_str()))
}

/// A span of time in its two largest units.
pub(crate) fn human_span(seconds: f64) -> String {
    let whole = seconds as u64;
    match whole {
        0..10 => format!("{seconds:.1} s"),
        10..60 => format!("{whole} s"),
        60..3_600 => format!("{} min {} s", whole / 60, whole % 60),
        3_600..86_400 => format!("{} h {} min", whole / 3_600, whole % 3_600 / 60),
        _ => format!("{} d {} h", whole / 86_400, whole % 86_400 / 3_600),
    }
}

/// A number of objects.
pub(crate) fn counted_objects(count: u64) -> String {
    if count == 1 { "1 object".to_owned() } else { format!("{count} objects") }
}

/// A figure, or a dash where there is none.
pub(crate) fn optional(figure: Option<f64>, decimals: usize) -> String {
    figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.decimals$}"))
}

/// Prints a report to stdout: in JSON, or as tables.
pub(crate) fn print<R: Serialize>(
    report: &R,
    tables: impl Fn(&R) -> String,
    json: bool,
) -> Result<(), Failure> {
    let text = if json { pretty(report) } else { tables(report) };
    writeln!(stdout(), "{}", text.trim_end()).map_err(Failure::stdout)
}

/// A report in JSON, for people as well, and the end of its last line.
pub(crate) fn pretty<R: Serialize>(report: &R) -> String {
    serde_json::to_string_pretty(report).expect("plain numbers and texts serialise") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_two_units() {
        for (seconds, text) in [
            (0.25, "0.2 s"),
            (59.9, "59 s"),
            (61.0, "1 min 1 s"),
            (7_300.0, "2 h 1 min"),
            (90_000.0, "1 d 1 h"),
        ] {
            assert_eq!(human_span(seconds), text);
        }
    }

    #[test]
    fn keys_cannot_steer_the_terminal() {
        assert_eq!(printable("org/ü@1%\u{1b}[2J\n"), "org/ü@1%\\u{1b}[2J\\n");
    }
}
