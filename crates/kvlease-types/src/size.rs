//! Amounts of bytes, as people write them.

use std::str::FromStr;

/// An amount of bytes.
///
/// Parses `1GiB`, `64Gi`, `512 MiB`, `1.5GB`, `64G`, `4096`; prints exactly, in the unit with the
/// smallest number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct ByteSize(u64);

impl ByteSize {
    /// No bytes.
    pub const ZERO: Self = Self(0);

    /// This many bytes.
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// This many KiB.
    pub const fn kib(count: u64) -> Self {
        Self(count << 10)
    }

    /// This many MiB.
    pub const fn mib(count: u64) -> Self {
        Self(count << 20)
    }

    /// This many GiB.
    pub const fn gib(count: u64) -> Self {
        Self(count << 30)
    }

    /// The amount in bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

/// The text is no amount of bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ParseByteSizeError {
    /// No number, or an unknown unit.
    #[error("write a number and a unit, such as `1GiB`, `64Gi`, `512MiB` or `4096`")]
    Malformed,
    /// More than 64 bits can hold.
    #[error("the amount is larger than 64 bits can hold: write a smaller one")]
    TooLarge,
}

impl FromStr for ByteSize {
    type Err = ParseByteSizeError;

    fn from_str(text: &str) -> Result<Self, ParseByteSizeError> {
        let text = text.trim();
        let parsed: bytesize::ByteSize = text.parse().map_err(|_| ParseByteSizeError::Malformed)?;
        match parsed.as_u64() {
            // The library takes the largest number for all that are larger.
            u64::MAX => Err(ParseByteSizeError::TooLarge),
            // A part of a byte is a unit that was forgotten.
            0..1024 if text.contains('.') => Err(ParseByteSizeError::Malformed),
            bytes => Ok(Self(bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_parse_as_people_write_them() {
        for (text, bytes) in [
            ("1GiB", 1 << 30),
            ("512 MiB", 512 << 20),
            ("1.5KiB", 1536),
            ("4096", 4096),
            ("2gb", 2_000_000_000),
            (" 7b ", 7),
            ("64Gi", 64 << 30),
            ("64G", 64_000_000_000),
            ("9007199254740993", 9_007_199_254_740_993),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize::new(bytes)), "{text:?}");
        }
    }

    #[test]
    fn other_texts_are_no_sizes() {
        for text in ["", "GiB", "-1", "1XiB", "1..5GiB", "1 GiB extra", "1.5", "0.5KiB"] {
            assert_eq!(text.parse::<ByteSize>(), Err(ParseByteSizeError::Malformed), "{text:?}");
        }
        assert_eq!("99999999999TiB".parse::<ByteSize>(), Err(ParseByteSizeError::TooLarge));
        assert_eq!("99999999999.5TiB".parse::<ByteSize>(), Err(ParseByteSizeError::TooLarge));
    }

    #[test]
    fn sizes_print_in_the_unit_that_divides_them() {
        assert_eq!(ByteSize::gib(3).to_string(), "3GiB");
        assert_eq!(ByteSize::new(1536).to_string(), "1536B");
        assert_eq!(ByteSize::ZERO.to_string(), "0B");
    }
}
