//! Frames that name leases or reservations of the connection: release, renew, abort.

use std::time::Duration;

use super::{
    hello::millis_u32,
    kind::Kind,
    list::{Full, ListWriter},
    malformed::Malformed,
    reader::Reader,
};

/// The client wants no answer.
pub(super) const SILENT: u16 = 1;

const ID_LEN: usize = 8;

/// The names of leases (their sequences) or of reservations, in their order.
#[derive(Clone, Debug)]
pub struct Ids<'a>(std::slice::Iter<'a, [u8; ID_LEN]>);

impl<'a> Ids<'a> {
    /// Takes `count` names; nothing may follow them.
    pub(super) fn decode(mut reader: Reader<'a>, count: usize) -> Result<Self, Malformed> {
        let items = reader.items(count)?;
        reader.end()?;
        Ok(Self(items.iter()))
    }
}

impl Iterator for Ids<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        self.0.next().map(|id| u64::from_le_bytes(*id))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for Ids<'_> {}

/// Writer of a frame of names. Without [`Self::finish`] it is no frame.
#[derive(Debug)]
#[must_use = "a frame has to be finished"]
pub struct IdsWriter<'o>(ListWriter<'o>);

impl<'o> IdsWriter<'o> {
    /// Begins a release of leases. If it is `silent`, the daemon does not answer.
    pub fn release(out: &'o mut Vec<u8>, request: u64, silent: bool) -> Self {
        Self(ListWriter::begin(out, (Kind::Release, flags(silent), request), &[], &[0; 4]))
    }

    /// Begins a renewal of leases, for `ttl` or the daemon's default time.
    pub fn renew(out: &'o mut Vec<u8>, request: u64, ttl: Option<Duration>) -> Self {
        let ttl = ttl.map_or(0, |ttl| millis_u32(ttl).max(1));
        Self(ListWriter::begin(out, (Kind::Renew, 0, request), &ttl.to_le_bytes(), &[]))
    }

    /// Begins an abort of reservations. If it is `silent`, the daemon does not answer.
    pub fn abort(out: &'o mut Vec<u8>, request: u64, silent: bool) -> Self {
        Self(ListWriter::begin(out, (Kind::Abort, flags(silent), request), &[], &[0; 4]))
    }

    /// Appends a name.
    pub fn push(&mut self, id: u64) -> Result<(), Full> {
        self.0.item(ID_LEN)?.extend_from_slice(&id.to_le_bytes());
        Ok(())
    }

    /// Ends the frame. Returns how many names it holds.
    pub fn finish(self) -> usize {
        self.0.finish()
    }
}

pub(super) fn flags(silent: bool) -> u16 {
    if silent { SILENT } else { 0 }
}
