//! Hashes of tokens: a token itself is kept nowhere.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// Length of a hash in bytes.
const LEN: usize = 32;

/// SHA-256 of a token. It is compared in constant time, and shown nowhere.
#[derive(Clone)]
pub struct TokenHash([u8; LEN]);

impl TokenHash {
    /// The hash of a token.
    pub fn of(token: &[u8]) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// The hash, to look for another one that is the same.
    pub(crate) const fn bytes(&self) -> &[u8; LEN] {
        &self.0
    }

    /// The 64 hexadecimal digits of the hash, for a configuration or a file of tokens.
    pub fn digits(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Reads a hash of 64 hexadecimal digits, as `sha256sum` prints it.
    pub fn parse(text: &str) -> Option<Self> {
        let digit = |byte: &u8| char::from(*byte).to_digit(16).map(|digit| digit as u8);
        let digits: Option<Vec<_>> = text.as_bytes().iter().map(digit).collect();
        let digits = digits.filter(|digits| digits.len() == 2 * LEN)?;
        Some(Self(std::array::from_fn(|at| digits[2 * at] << 4 | digits[2 * at + 1])))
    }
}

impl ConstantTimeEq for TokenHash {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.as_slice().ct_eq(other.0.as_slice())
    }
}

impl PartialEq for TokenHash {
    fn eq(&self, other: &Self) -> bool {
        self.ct_eq(other).into()
    }
}

impl Eq for TokenHash {}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_read_as_sha256sum_prints_it() {
        let digits = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(TokenHash::parse(digits), Some(TokenHash::of(b"abc")));
        assert_eq!(TokenHash::of(b"abc").digits(), digits);
        assert_eq!(TokenHash::parse(&digits.to_uppercase()), Some(TokenHash::of(b"abc")));
        assert_ne!(TokenHash::parse(digits), Some(TokenHash::of(b"abd")));
        for wrong in ["", "abc", &digits[1..], &format!("{digits}0"), &digits.replace('b', "g")] {
            assert_eq!(TokenHash::parse(wrong), None, "{wrong}");
        }
        assert_eq!(format!("{:?}", TokenHash::of(b"abc")), "TokenHash");
    }
}
