//! Numbers as Python's `int()` and `float()` read them: what a configuration means to LMCache's
//! own adapter it means here.

use super::{Value, digits::decimal};

/// Python refuses to read a whole number of more digits, leading zeros included.
const INT_DIGITS_MAX: usize = 4300;

/// The first float that is beyond an `i128`: 2 to the 127th.
const I128_END: f64 = 170_141_183_460_469_231_731_687_303_715_884_105_728.0;

/// A value as `int()` reads it: floats lose their fraction, texts may have spaces around, a sign,
/// underscores between digits, and the digits of any script. `None` for what is no whole number,
/// and for one beyond 128 bits.
pub(super) fn int(value: &Value) -> Option<i128> {
    match value {
        Value::Bool(bool) => Some(i128::from(*bool)),
        Value::Int(int) => Some(*int),
        // Never below -2^127 either: that one number is of no use.
        Value::Float(float) if float.abs() < I128_END => Some(float.trunc() as i128),
        Value::Str(text) => int_of(&plain(text)?),
        Value::Float(_) | Value::Null | Value::Other { .. } => None,
    }
}

/// A value as `float()` reads it, infinities and `nan` included. `None` for what is no number.
pub(super) fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Bool(bool) => Some(f64::from(*bool)),
        Value::Int(int) => Some(*int as f64),
        Value::Float(float) => Some(*float),
        // What is left of a text without its underscores, Rust reads as Python does.
        Value::Str(text) => plain(text)?.parse().ok(),
        Value::Null | Value::Other { .. } => None,
    }
}

fn int_of(plain: &str) -> Option<i128> {
    let digits = plain.strip_prefix(['+', '-']).unwrap_or(plain);
    match digits.len() {
        1..=INT_DIGITS_MAX => plain.parse().ok(),
        _ => None,
    }
}

/// The text of a number in ASCII, without the spaces around it and without underscores. `None` if
/// there is a character that no number has, or an underscore that is not between two digits.
fn plain(text: &str) -> Option<String> {
    let mut ascii = String::with_capacity(text.len());
    for character in text.chars() {
        match decimal(character) {
            _ if character.is_ascii() => ascii.push(character),
            Some(digit) => ascii.push(char::from(b'0' + digit)),
            None if character.is_whitespace() => ascii.push(' '),
            None => return None,
        }
    }
    without_underscores(ascii.trim_matches(is_space))
}

/// The spaces of C's `isspace`.
fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t'..='\r')
}

fn without_underscores(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let digit_at = |index: usize| bytes.get(index).is_some_and(u8::is_ascii_digit);
    for (index, _) in text.match_indices('_') {
        if index == 0 || !digit_at(index - 1) || !digit_at(index + 1) {
            return None;
        }
    }
    Some(text.replace('_', ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_as_python_reads_whole_numbers() {
        for (text, number) in [
            ("5", 5),
            (" \t\n\x0b\x0c\r5 ", 5),
            ("+5", 5),
            ("-5", -5),
            ("007", 7),
            ("1_000", 1000),
            ("0_1", 1),
            ("\u{3000}5\u{85}", 5),
            ("٣٤", 34),
            ("५_५", 55),
            ("𝟗", 9),
        ] {
            assert_eq!(int(&text.into()), Some(number), "{text:?}");
        }
        for text in [
            "",
            " ",
            "+",
            "-",
            "+ 5",
            "--5",
            "_1",
            "1_",
            "1__0",
            "+_1",
            "1 0",
            "0x10",
            "1e3",
            "1.0",
            "5\0",
            "\u{1c}5",
            "\u{feff}5",
            "−5",
            "½",
            "five",
            "1,000",
        ] {
            assert_eq!(int(&text.into()), None, "{text:?}");
        }
        let widest = i128::MAX.to_string();
        assert_eq!(int(&widest.as_str().into()), Some(i128::MAX));
        assert_eq!(int(&format!("{widest}0").into()), None);
        assert_eq!(int(&format!("{}7", "0".repeat(INT_DIGITS_MAX - 1)).into()), Some(7));
        assert_eq!(int(&format!("{}7", "0".repeat(INT_DIGITS_MAX)).into()), None);
    }

    #[test]
    fn texts_are_read_as_python_reads_floats() {
        for (text, number) in [
            ("1e3", 1000.0),
            (" 1_0.2_5E+1 ", 102.5),
            (".5", 0.5),
            ("5.", 5.0),
            ("-0", 0.0),
            ("٣.٥", 3.5),
            ("inf", f64::INFINITY),
            ("-InFiNiTy", f64::NEG_INFINITY),
            ("1e999", f64::INFINITY),
        ] {
            assert_eq!(float(&text.into()), Some(number), "{text:?}");
        }
        assert!(float(&"+NaN".into()).is_some_and(f64::is_nan));
        for text in
            ["", ".", "e5", "1e", "1_e5", "1e_5", "1._5", "1_.5", "0x1p3", "i_nf", "infinit"]
        {
            assert_eq!(float(&text.into()), None, "{text:?}");
        }
    }

    #[test]
    fn numbers_lose_their_fraction_but_not_their_size() {
        for (number, whole) in [(3.9, Some(3)), (-3.9, Some(-3)), (0.5, Some(0)), (-0.0, Some(0))] {
            assert_eq!(int(&number.into()), whole);
        }
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, I128_END, 1e300] {
            assert_eq!(int(&number.into()), None, "{number}");
        }
        assert_eq!(int(&I128_END.next_down().into()), Some(I128_END.next_down() as i128));
        assert_eq!((int(&true.into()), int(&false.into())), (Some(1), Some(0)));
        assert_eq!((float(&true.into()), float(&7_u64.into())), (Some(1.0), Some(7.0)));
        for value in [Value::Null, Value::Other { repr: "[1]".to_owned() }] {
            assert_eq!((int(&value), float(&value)), (None, None));
        }
    }
}
