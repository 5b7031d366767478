//! Names of leases and of the daemon incarnation that granted them.

use std::{fmt, str::FromStr};

use crate::Hex;

/// One incarnation of the daemon. Two incarnations never share an epoch, so an identifier made
/// in one is never mistaken for one of the other.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Epoch(u64);

impl Epoch {
    /// The epoch with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The epoch as a number.
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex::new(self.0).fmt(f)
    }
}

impl FromStr for Epoch {
    type Err = ParseLeaseIdError;

    fn from_str(text: &str) -> Result<Self, ParseLeaseIdError> {
        Hex::parse(text).map(Self).ok_or(ParseLeaseIdError)
    }
}

/// Number of one lease: the incarnation that granted it, and its place within that incarnation.
///
/// As text it is `<epoch>-<sequence>` in lower-case hexadecimal, 16 digits each. Over HTTP a lease
/// has a name that cannot be guessed, which begins with this text. The stock in-process client puts
/// it into a URL unquoted, so the alphabet must stay within `[A-Za-z0-9_-]`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LeaseId {
    /// The incarnation that granted the lease.
    pub epoch: Epoch,
    /// Number within that incarnation: above 0, rising from grant to grant, never used again.
    pub sequence: u64,
}

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.epoch.fmt(f)?;
        f.write_str("-")?;
        Hex::new(self.sequence).fmt(f)
    }
}

/// The text is not `<16 hex digits>`, or for a lease `<16 hex digits>-<16 hex digits>`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("an epoch is 16 hexadecimal digits, a lease id `-` and 16 more")]
pub struct ParseLeaseIdError;

impl FromStr for LeaseId {
    type Err = ParseLeaseIdError;

    fn from_str(text: &str) -> Result<Self, ParseLeaseIdError> {
        let (epoch, sequence) = text.split_once('-').ok_or(ParseLeaseIdError)?;
        let sequence = Hex::parse(sequence).ok_or(ParseLeaseIdError)?;
        Ok(Self { epoch: epoch.parse()?, sequence })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lease_ids_survive_the_wire() {
        let id = LeaseId { epoch: Epoch::new(0xfeed), sequence: 7 };
        assert_eq!(id.to_string(), "000000000000feed-0000000000000007");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.epoch.to_string().parse(), Ok(id.epoch));
    }

    #[test]
    fn other_texts_are_no_lease_ids() {
        for text in [
            "",
            "-",
            "7",
            "feed-7",
            "000000000000FEED-0000000000000007",
            "+0000000000000ed-0000000000000007",
        ] {
            assert_eq!(text.parse::<LeaseId>(), Err(ParseLeaseIdError), "{text:?}");
        }
    }
}
