//! Figures: numbers as people read them, each with its exact value for programs.

use askama::{Template, filters::HtmlSafe};
use kvlease_types::{ByteSize, human_size};

/// A number. Where there is none it is a dash.
#[derive(Clone, PartialEq, Eq, Debug, Template)]
#[template(ext = "html", source = "<data value=\"{{ value }}\">{{ text }}</data>")]
pub(super) struct Figure {
    value: String,
    text: String,
}

/// Its own template escapes what is in it.
impl HtmlSafe for Figure {}

impl Figure {
    pub(super) fn none() -> Self {
        Self { value: String::new(), text: "–".to_owned() }
    }

    /// A number of things.
    pub(super) fn count(count: u64) -> Self {
        Self { value: count.to_string(), text: grouped(count) }
    }

    pub(super) fn bytes(bytes: u64) -> Self {
        Self { value: bytes.to_string(), text: human_size(ByteSize::new(bytes)) }
    }

    /// A part of a whole; a dash if the whole is nothing.
    pub(super) fn share(part: u64, whole: u64) -> Self {
        match whole {
            0 => Self::none(),
            _ => Self::ratio(part as f64 / whole as f64),
        }
    }

    pub(super) fn ratio(ratio: f64) -> Self {
        Self { value: ratio.to_string(), text: format!("{:.1} %", ratio * 100.0) }
    }

    pub(super) fn seconds(seconds: f64) -> Self {
        Self { value: seconds.to_string(), text: span(seconds) }
    }

    /// Figure that `show` makes of a number which may not be known.
    pub(super) fn of<T>(number: Option<T>, show: impl FnOnce(T) -> Self) -> Self {
        number.map_or_else(Self::none, show)
    }
}

/// Digits in groups of three.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A span of time in the two largest units that it has, or in one with the digits that matter.
fn span(seconds: f64) -> String {
    let whole = seconds as u64;
    match seconds {
        _ if seconds < 0.0009995 => format!("{:.0} µs", seconds * 1e6),
        _ if seconds < 0.9995 => format!("{:.1} ms", seconds * 1e3),
        _ if whole < 60 => format!("{seconds:.1} s"),
        _ if whole < 3_600 => format!("{} min {} s", whole / 60, whole % 60),
        _ if whole < 86_400 => format!("{} h {} min", whole / 3_600, whole / 60 % 60),
        _ => format!("{} d {} h", whole / 86_400, whole / 3_600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_for_people_and_their_values_for_programs() {
        for (figure, expected) in [
            (Figure::none(), "<data value=\"\">–</data>"),
            (Figure::count(0), "<data value=\"0\">0</data>"),
            (Figure::count(1_234_567), "<data value=\"1234567\">1,234,567</data>"),
            (Figure::count(123), "<data value=\"123\">123</data>"),
            (Figure::bytes(1 << 30), "<data value=\"1073741824\">1.0GiB</data>"),
            (Figure::share(1, 4), "<data value=\"0.25\">25.0 %</data>"),
            (Figure::share(0, 0), "<data value=\"\">–</data>"),
            (Figure::of(Some(2), Figure::count), "<data value=\"2\">2</data>"),
        ] {
            assert_eq!(figure.to_string(), expected);
        }
    }

    #[test]
    fn spans_have_the_unit_that_suits_them() {
        for (seconds, expected) in [
            (0.0, "0 µs"),
            (0.0002, "200 µs"),
            (0.0015, "1.5 ms"),
            (0.9996, "1.0 s"),
            (59.9, "59.9 s"),
            (61.0, "1 min 1 s"),
            (7_260.0, "2 h 1 min"),
            (90_000.0, "1 d 1 h"),
        ] {
            assert_eq!(span(seconds), expected, "{seconds}");
        }
    }
}
