//! How sizes and keys are shown to people.

use std::{
    fmt,
    io::{Write, stderr},
};

use kvlease_client::{ByteSize, Key};

/// Says a line on stderr. One that cannot be written is dropped: what a command did is its exit
/// status.
pub(crate) fn note(line: fmt::Arguments<'_>) {
    let _ = writeln!(stderr(), "{line}");
}

/// A size with one decimal and the binary unit that suits it: `16.0MiB`.
pub(crate) fn human_size(size: ByteSize) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let bytes = size.bytes();
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let mut amount = bytes as f64 / 1024.0;
    let mut unit = UNITS[0];
    for larger in &UNITS[1..] {
        // What would round up to 1024.0 is one of the next unit.
        if amount < 1023.95 {
            break;
        }
        amount /= 1024.0;
        unit = larger;
    }
    format!("{amount:.1}{unit}")
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

/// A figure, or a dash where there is none.
pub(crate) fn optional(figure: Option<f64>, decimals: usize) -> String {
    figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.decimals$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_one_decimal_and_the_unit_that_suits() {
        for (bytes, text) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1.0KiB"),
            (1536, "1.5KiB"),
            ((1 << 20) - 1, "1.0MiB"),
            (16 << 20, "16.0MiB"),
            (5 << 40, "5.0TiB"),
            (5 << 50, "5120.0TiB"),
        ] {
            assert_eq!(human_size(ByteSize::new(bytes)), text, "{bytes}");
        }
    }

    #[test]
    fn keys_cannot_steer_the_terminal() {
        assert_eq!(printable("org/ü@1%\u{1b}[2J\n"), "org/ü@1%\\u{1b}[2J\\n");
    }
}
