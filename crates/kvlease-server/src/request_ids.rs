//! Ids of requests over HTTP: the client's own, or one that is made.

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use kvlease_api::{REQUEST_ID_HEADER, is_request_id};
use kvlease_types::Hex;
use siphasher::sip::SipHasher24;

/// The header that carries the id.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static(REQUEST_ID_HEADER);

/// Maker of ids.
///
/// A made id is the keyed hash of a count: the count itself would tell a client how many requests others
/// make.
pub(crate) struct RequestIds {
    key: [u8; 16],
    made: AtomicU64,
}

impl RequestIds {
    pub(crate) fn new() -> io::Result<Self> {
        let mut key = [0; 16];
        getrandom::fill(&mut key)?;
        Ok(Self { key, made: AtomicU64::new(0) })
    }

    /// The id that a client gave its request, if it is a sane one; else a new one.
    pub(crate) fn of(&self, headers: &HeaderMap) -> HeaderValue {
        let mut given = headers.get_all(REQUEST_ID).iter();
        match (given.next(), given.next()) {
            // A copy: the value itself would keep the bytes of the whole head.
            (Some(value), None) if is_request_id(value.as_bytes()) => header(value.as_bytes()),
            _ => self.make(),
        }
    }

    fn make(&self) -> HeaderValue {
        let count = self.made.fetch_add(1, Relaxed);
        let hash = SipHasher24::new_with_key(&self.key).hash(&count.to_le_bytes());
        header(Hex::new(hash).as_str().as_bytes())
    }
}

fn header(id: &[u8]) -> HeaderValue {
    HeaderValue::from_maybe_shared(Bytes::copy_from_slice(id)).expect("an id is visible ASCII")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_sane_id_of_the_client_stays_and_others_are_replaced_by_different_ones() {
        let ids = RequestIds::new().unwrap();
        let of = |names: &[&'static str]| {
            let names = names.iter().map(|name| (REQUEST_ID, HeaderValue::from_static(name)));
            ids.of(&names.collect()).to_str().unwrap().to_owned()
        };
        assert_eq!(of(&["a-1"]), "a-1");
        let made = [&[][..], &["a b"], &[""], &["a-1", "a-1"]].map(of);
        for name in &made {
            assert_eq!((name.len(), is_request_id(name.as_bytes())), (16, true), "{name}");
        }
        assert_eq!(made.iter().collect::<HashSet<_>>().len(), made.len());
    }
}
