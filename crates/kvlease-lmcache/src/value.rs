//! A value of LMCache's configuration: whatever YAML, JSON or a Python program may hold there.

use std::fmt;

/// The most characters of a value that an error or a warning shows.
const SHOWN_LEN_MAX: usize = 120;

/// One value of `extra_config`.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// Python's `None`, YAML's and JSON's null.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// A number with a fraction, an infinity, or no number.
    Float(f64),
    /// A text.
    Str(String),
    /// Anything else, which no key takes: a list, a table, a date, a number too wide for 128 bits.
    Other {
        /// How Python shows it.
        repr: String,
    },
}

impl Value {
    /// The value as an error shows it: on one line, and not longer than a line.
    pub(super) fn shown(&self) -> String {
        shown(&self.to_string())
    }
}

/// A text as an error shows it: without control characters, and cut where it is long.
pub(super) fn shown(text: &str) -> String {
    let mut shown = String::new();
    for (index, character) in text.chars().enumerate() {
        match character {
            _ if index == SHOWN_LEN_MAX => {
                shown.push('…');
                break;
            }
            _ if character.is_control() => shown.extend(character.escape_default()),
            _ => shown.push(character),
        }
    }
    shown
}

/// As Python's `str()` makes a text of it.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("None"),
            Self::Bool(true) => f.write_str("True"),
            Self::Bool(false) => f.write_str("False"),
            Self::Int(int) => int.fmt(f),
            Self::Float(float) => write_float(*float, f),
            Self::Str(text) => f.write_str(text),
            Self::Other { repr } => f.write_str(repr),
        }
    }
}

/// Rust and Python agree on the digits and on when to use an exponent, but not on its form.
fn write_float(float: f64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if float.is_nan() {
        return f.write_str("nan");
    }
    let text = format!("{float:?}");
    let Some((digits, exponent)) = text.split_once('e') else { return f.write_str(&text) };
    match exponent.strip_prefix('-') {
        Some(exponent) => write!(f, "{digits}e-{exponent:0>2}"),
        None => write!(f, "{digits}e+{exponent:0>2}"),
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i128> for Value {
    fn from(value: i128) -> Self {
        Self::Int(value)
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Int(value.into())
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Str(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Str(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_the_text_that_python_gives_it() {
        for (value, text) in [
            (Value::Null, "None"),
            (Value::Bool(true), "True"),
            (Value::Bool(false), "False"),
            (Value::Int(-7), "-7"),
            (Value::Int(i128::MAX), "170141183460469231731687303715884105727"),
            (Value::Float(2.0), "2.0"),
            (Value::Float(-0.0), "-0.0"),
            (Value::Float(0.1), "0.1"),
            (Value::Float(0.0001), "0.0001"),
            (Value::Float(0.000_099), "9.9e-05"),
            (Value::Float(9_999_999_999_999_998.0), "9999999999999998.0"),
            (Value::Float(1e16), "1e+16"),
            (Value::Float(1.5e300), "1.5e+300"),
            (Value::Float(5e-324), "5e-324"),
            (Value::Float(f64::INFINITY), "inf"),
            (Value::Float(f64::NEG_INFINITY), "-inf"),
            (Value::Float(f64::NAN), "nan"),
            (Value::from("a b"), "a b"),
            (Value::Other { repr: "[1, 2]".to_owned() }, "[1, 2]"),
        ] {
            assert_eq!(value.to_string(), text);
        }
    }

    #[test]
    fn an_error_shows_a_value_on_one_short_line() {
        assert_eq!(Value::from("two\nlines").shown(), "two\\nlines");
        let long = "é".repeat(SHOWN_LEN_MAX + 1);
        assert_eq!(Value::from(long.as_str()).shown().chars().count(), SHOWN_LEN_MAX + 1);
        assert!(Value::from(long).shown().ends_with('…'));
    }
}
