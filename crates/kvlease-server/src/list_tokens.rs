//! Tokens of listings: where a page starts, for clients that hand it back as it is.
//!
//! A token is `<tag>.<since>.<place>.<from>`. The tag is keyed with a secret of this incarnation, and
//! covers what is listed: a store never sees a position that it did not give for this very listing, and
//! a slot of an earlier incarnation is not taken for one of this.

use std::{fmt, io};

use kvlease_api::{ListQuery, MEMORY};
use kvlease_types::{BucketName, Timestamp};
use siphasher::sip::SipHasher24;

/// Start of a page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Position {
    /// Begin of the listing.
    pub(crate) since: Timestamp,
    pub(crate) place: Place,
}

/// Position in the place that is listed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// The arena, from a slot on.
    Memory(u32),
    /// The tier of a kind, from a position of its own on; `None` is its start.
    Tier(String, Option<String>),
}

/// Makes tokens, and reads them.
pub(crate) struct ListTokens([u8; 16]);

impl ListTokens {
    pub(crate) fn new() -> io::Result<Self> {
        let mut key = [0; 16];
        getrandom::fill(&mut key)?;
        Ok(Self(key))
    }

    /// The token of a position in this listing.
    pub(crate) fn write(&self, bucket: &BucketName, query: &ListQuery, at: &Position) -> String {
        let (place, from) = match &at.place {
            Place::Memory(slot) => (MEMORY, slot.to_string()),
            Place::Tier(kind, from) => (kind.as_str(), from.clone().unwrap_or_default()),
        };
        let text = format!("{:x}.{place}.{from}", at.since.nanos());
        format!("{:016x}.{text}", self.tag(bucket, query, &text))
    }

    /// The position of a token; `None` if this incarnation did not make it for this listing.
    pub(crate) fn read(
        &self,
        bucket: &BucketName,
        query: &ListQuery,
        token: &str,
    ) -> Option<Position> {
        let (tag, text) = token.split_once('.')?;
        let is_known = tag == format!("{:016x}", self.tag(bucket, query, text));
        let (since, rest) = text.split_once('.').filter(|_| is_known)?;
        let (place, from) = rest.split_once('.')?;
        let place = match place {
            MEMORY => Place::Memory(from.parse().ok()?),
            kind => {
                Place::Tier(kind.to_owned(), Some(from.to_owned()).filter(|from| !from.is_empty()))
            }
        };
        let since = Timestamp::from_nanos(u64::from_str_radix(since, 16).ok()?);
        Some(Position { since, place })
    }

    fn tag(&self, bucket: &BucketName, query: &ListQuery, text: &str) -> u64 {
        let mut bytes = Vec::new();
        for part in [bucket.as_str(), &query.prefix, query.tiers.name(), text] {
            bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        SipHasher24::new_with_key(&self.0).hash(&bytes)
    }
}

/// The key stays out of logs.
impl fmt::Debug for ListTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ListTokens")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_in_its_own_listing_alone() {
        let tokens = ListTokens::new().unwrap();
        let bucket = BucketName::new("b").unwrap();
        let query = |raw| ListQuery::parse(Some(raw)).unwrap();
        let since = Timestamp::from_nanos(0x1234);
        for place in [
            Place::Memory(7),
            Place::Tier("nvme".to_owned(), None),
            Place::Tier("valkey".to_owned(), Some("host:1 17 a.b%2F".to_owned())),
        ] {
            let position = Position { since, place };
            let token = tokens.write(&bucket, &query("prefix=x"), &position);
            assert_eq!(tokens.read(&bucket, &query("prefix=x"), &token), Some(position));
            assert_eq!(tokens.read(&bucket, &query("prefix=y"), &token), None);
            assert_eq!(tokens.read(&bucket, &query("prefix=x&tier=all"), &token), None);
            let other = BucketName::new("c").unwrap();
            assert_eq!(tokens.read(&other, &query("prefix=x"), &token), None);
            let later = ListTokens::new().unwrap();
            assert_eq!(later.read(&bucket, &query("prefix=x"), &token), None);
            assert_eq!(tokens.read(&bucket, &query("prefix=x"), &format!("{token}0")), None);
        }
        assert_eq!(tokens.read(&bucket, &query(""), "0000000000000000.0.memory.0"), None);
    }
}
