//! Puts over the fast lane: objects are copied into the arena by this process.
//!
//! Objects go in groups: one round trip reserves for all of a group, another commits them. A body
//! that is read from a source goes over HTTP.

use std::sync::Arc;

use bytes::Bytes;
use kvlease_api::{ErrorCode, lane::ReserveStatus};
use kvlease_types::{ByteSize, Checksum, Key};

use super::Inner;
use crate::{
    Error, PutOutcome,
    lane::{Lane, LanePut, Reservation},
};

/// How many objects, and how many of their bytes, are reserved for at a time: what is reserved is
/// there for nobody else.
const GROUP_MAX: usize = 128;
const GROUP_LEN_MAX: u64 = 128 << 20;

/// Objects that together are up to this long are copied where they are: another thread would have
/// begun no sooner than it is done.
const COPY_HERE_LEN_MAX: u64 = 1 << 20;

/// The bytes of an object, in two parts.
pub(super) type Parts = [Bytes; 2];

impl Inner {
    /// The lane, if objects can be put over it.
    pub(super) async fn put_lane(&self) -> Option<Lane> {
        self.lane().await.filter(Lane::is_writable)
    }

    /// Stores objects. The answers end where the lane breaks: what is not answered may be stored.
    pub(super) async fn put_fast(
        self: &Arc<Self>,
        lane: &Lane,
        objects: &[(&Key, Parts)],
    ) -> Vec<Result<PutOutcome, Error>> {
        let mut answers = Vec::with_capacity(objects.len());
        while answers.len() < objects.len() {
            let group = group(&objects[answers.len()..]);
            let Some(answered) = self.put_group(lane, group).await else { break };
            answers.extend(answered);
        }
        answers
    }

    /// Stores as many of a group as are reserved for together; `None` if the lane broke.
    async fn put_group(
        self: &Arc<Self>,
        lane: &Lane,
        group: &[(&Key, Parts)],
    ) -> Option<Vec<Result<PutOutcome, Error>>> {
        let limit = self.config.client.timeouts.call;
        let wishes: Vec<_> = group.iter().map(|(key, parts)| (*key, len_of(parts))).collect();
        let reserved = lane.reserve(&wishes, limit).await.ok()?;
        if reserved.is_empty() {
            return None;
        }
        let mut outcomes = Vec::with_capacity(reserved.len());
        let mut to_fill = Vec::new();
        for (reserved, (_, parts)) in reserved.into_iter().zip(group) {
            outcomes.push(reserved.as_ref().err().copied());
            if let Ok(reservation) = reserved {
                to_fill.push((reservation, parts.clone()));
            }
        }
        let filled = self.fill(to_fill).await;
        let late = |filled: &Option<_>| filled.is_none().then_some(LanePut::Late);
        let mut late: Vec<_> = filled.iter().map(late).rev().collect();
        let filled: Vec<_> = filled.into_iter().flatten().collect();
        let mut committed = match filled.is_empty() {
            true => Vec::new(),
            false => lane.commit(filled, limit).await.ok()?,
        }
        .into_iter();
        let outcome = |(outcome, (key, parts)): (Option<LanePut>, &(&Key, Parts))| {
            let outcome = outcome
                .or_else(|| late.pop().flatten())
                .or_else(|| committed.next())
                .unwrap_or(LanePut::Late);
            put_outcome(outcome, key, len_of(parts))
        };
        Some(outcomes.into_iter().zip(group).map(outcome).collect())
    }

    /// Copies objects to their places, on the threads for copies if they are much. The reservation
    /// of one that was not copied in its time is gone.
    async fn fill(
        self: &Arc<Self>,
        objects: Vec<(Reservation, Parts)>,
    ) -> Vec<Option<(Reservation, Checksum)>> {
        let len: u64 = objects.iter().map(|(_, parts)| len_of(parts).bytes()).sum();
        if len <= COPY_HERE_LEN_MAX {
            return objects.into_iter().map(fill).collect();
        }
        let copies = objects.into_iter().map(|object| self.copier.run(move || fill(object)));
        futures_util::future::join_all(copies).await
    }
}

fn fill((reservation, parts): (Reservation, Parts)) -> Option<(Reservation, Checksum)> {
    let checksum = reservation.fill(parts.iter().map(AsRef::as_ref))?;
    Some((reservation, checksum))
}

/// The first objects, as many as make a group.
fn group<'a, 'k>(objects: &'a [(&'k Key, Parts)]) -> &'a [(&'k Key, Parts)] {
    let mut len = 0;
    let fits = |(_, parts): &&(&Key, Parts)| {
        len += len_of(parts).bytes();
        len <= GROUP_LEN_MAX
    };
    let count = objects.iter().take(GROUP_MAX).take_while(fits).count();
    &objects[..count.max(1)]
}

fn len_of(parts: &Parts) -> ByteSize {
    ByteSize::new(parts.iter().map(|part| part.len() as u64).sum())
}

/// What the same refusal would be over HTTP.
fn put_outcome(outcome: LanePut, key: &Key, len: ByteSize) -> Result<PutOutcome, Error> {
    let (status, code, what) = match outcome {
        LanePut::Stored => return Ok(PutOutcome::Stored),
        LanePut::Exists => return Ok(PutOutcome::Exists),
        LanePut::Late => (408, ErrorCode::BodyIncomplete, "it was not copied in its time"),
        LanePut::Refused(ReserveStatus::TooLarge) => {
            (413, ErrorCode::TooLarge, "it is larger than the daemon takes")
        }
        LanePut::Refused(ReserveStatus::NoSpace) => (
            507,
            ErrorCode::NoSpace,
            "only leased, quarantined and unfinished objects are left, or the arena is still being \
             populated",
        ),
        LanePut::Refused(_) => (503, ErrorCode::Unavailable, "the daemon is at a limit"),
    };
    let message = format!("{what}, key=`{key}` len=`{len}`");
    Err(Error::Refused { operation: "put", status, code: Some(code), message })
}
