//! Numbers as 16 hexadecimal digits.

use std::{fmt, str};

/// Digits of a number.
const LEN: usize = 16;

/// A number of 64 bits as text: 16 lower-case hexadecimal digits.
///
/// Each reply with a lease has four of them, and the machinery of [`fmt`] takes several times as long to
/// write one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hex([u8; LEN]);

impl Hex {
    /// The digits of a number.
    pub const fn new(number: u64) -> Self {
        let (mut digits, mut at) = ([0; LEN], 0);
        while at < LEN {
            let digit = (number >> (4 * (LEN - 1 - at))) & 0xf;
            digits[at] = b"0123456789abcdef"[digit as usize];
            at += 1;
        }
        Self(digits)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("digits are ASCII")
    }

    /// The number of a text; `None` if that is not 16 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Option<u64> {
        let is_digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() != LEN || !text.bytes().all(is_digit) {
            return None;
        }
        u64::from_str_radix(text, 16).ok()
    }
}

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_of_the_standard_format() {
        for number in [0, 1, 0xfeed, 0x0123_4567_89ab_cdef, u64::MAX] {
            let text = format!("{number:016x}");
            assert_eq!(Hex::new(number).as_str(), text);
            assert_eq!(Hex::parse(&text), Some(number));
        }
    }

    #[test]
    fn other_texts_are_no_numbers() {
        for text in ["", "feed", "000000000000FEED", "+00000000000feed", "0000000000000feed0"] {
            assert_eq!(Hex::parse(text), None, "{text:?}");
        }
    }
}
