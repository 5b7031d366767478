//! Answers with a status for each item of the request.

use std::time::Duration;

use super::{
    frame::{begin, end},
    hello::millis_u32,
    kind::Kind,
    malformed::Malformed,
    reader::Reader,
    status::DoneStatus,
};

/// Statuses of the items, in their order.
#[derive(Clone, Debug)]
pub struct Statuses<'a>(std::slice::Iter<'a, u8>);

impl<'a> Statuses<'a> {
    /// Takes `count` statuses; nothing may follow them.
    pub(super) fn decode(mut reader: Reader<'a>, count: usize) -> Result<Self, Malformed> {
        let statuses = reader.take(count)?;
        reader.end()?;
        let unknown = |status: &&u8| DoneStatus::from_number(**status).is_none();
        match statuses.iter().find(unknown) {
            Some(status) => Err(Malformed::Status { status: (*status).into() }),
            None => Ok(Self(statuses.iter())),
        }
    }
}

impl Iterator for Statuses<'_> {
    type Item = DoneStatus;

    fn next(&mut self) -> Option<DoneStatus> {
        let status = DoneStatus::from_number(*self.0.next()?);
        Some(status.expect("all statuses were checked"))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for Statuses<'_> {}

/// Appends the answer to a release, exists, remove, commit or abort.
pub fn write_done(out: &mut Vec<u8>, request: u64, statuses: &[DoneStatus]) {
    let start = begin(out, Kind::Done, 0, request);
    out.extend_from_slice(&count(statuses));
    out.extend_from_slice(&[0; 4]);
    out.extend(statuses.iter().map(|status| status.number()));
    end(out, start);
}

/// Appends the answer to a renew: `ttl` is what was granted from now on.
pub fn write_renewed(out: &mut Vec<u8>, request: u64, ttl: Duration, statuses: &[DoneStatus]) {
    let start = begin(out, Kind::Renewed, 0, request);
    out.extend_from_slice(&millis_u32(ttl).to_le_bytes());
    out.extend_from_slice(&count(statuses));
    out.extend(statuses.iter().map(|status| status.number()));
    end(out, start);
}

fn count(statuses: &[DoneStatus]) -> [u8; 4] {
    u32::try_from(statuses.len()).expect("a frame names few items").to_le_bytes()
}
