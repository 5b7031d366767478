//! Answers of a connection that were not sent yet, and the memory for them.

use std::{mem, os::fd::OwnedFd, time::Duration};

use kvlease_api::lane::{EXTENTS_MAX, Malformed, Request};
use kvlease_engine::Grants;
use kvlease_types::Extent;

use crate::connection_memory::{ConnectionMemory, Held, Purpose};

/// Room of a connection's place.
const ROOM: usize = 8 << 10;

/// Bytes of an answer beside its items.
const HEAD_LEN: usize = 64;

/// The most bytes of an answer for an item that is a key or an object, without its extents.
const RECORD_LEN: usize = 64;

/// Collects answers. Memory for more than [`ROOM`] is taken before an answer is made.
#[derive(Default, Debug)]
pub(super) struct Answers {
    bytes: Vec<u8>,
    held: Option<Held>,
    /// Descriptors that go with the byte at this place.
    passed: Option<(usize, Descriptors)>,
}

/// Descriptors that are passed with an answer.
type Descriptors = [OwnedFd; 2];

impl Answers {
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    /// Passes descriptors with the answer that is appended next. An answer before it that has some must
    /// have been sent.
    pub(super) fn pass(&mut self, descriptors: Descriptors) {
        self.passed = Some((self.bytes.len(), descriptors));
    }

    /// Whether descriptors wait to be passed.
    pub(super) fn has_descriptors(&self) -> bool {
        self.passed.is_some()
    }

    /// Takes the descriptors, with the place of the byte that they go with.
    pub(super) fn take_descriptors(&mut self) -> Option<(usize, Descriptors)> {
        self.passed.take()
    }

    /// The buffer, to append an answer for which there is room.
    pub(super) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Makes room for an answer of at most `len` bytes. While answers are collected it takes memory
    /// that is free now; otherwise it waits for at most `limit`. Returns whether there is room.
    pub(super) async fn make_room(
        &mut self,
        len: usize,
        memory: &ConnectionMemory,
        limit: Duration,
    ) -> bool {
        let held = ROOM + self.held.as_ref().map_or(0, Held::len);
        let more = (self.bytes.len() + len).saturating_sub(held);
        if more == 0 {
            return true;
        }
        if let Some(more) = memory.try_take(Purpose::Answers, more) {
            match &mut self.held {
                Some(held) => held.merge(more),
                None => self.held = Some(more),
            }
            return true;
        }
        if !self.bytes.is_empty() {
            return false;
        }
        // A connection that waits holds nothing that others wait for.
        self.shrink();
        self.held = memory.take(Purpose::Answers, len - ROOM, limit).await;
        self.held.is_some()
    }

    /// Gives back the memory that the last answer did not need.
    pub(super) fn fit(&mut self) {
        if let Some(held) = &mut self.held {
            held.shrink(self.bytes.capacity().saturating_sub(ROOM));
        }
    }

    /// Forgets the answers, which were sent, and gives back the memory that others need.
    pub(super) fn clear(&mut self, memory: &ConnectionMemory) {
        self.bytes.clear();
        if self.held.is_some() && memory.is_scarce(Purpose::Answers) {
            self.shrink();
        }
    }

    /// Gives memory back that is not needed.
    pub(super) fn shrink(&mut self) {
        if self.bytes.is_empty() {
            drop(mem::take(self));
        }
    }
}

/// The most bytes of the answer to a request.
pub(super) fn answer_len_max(request: &Result<Request<'_>, Malformed>) -> usize {
    let each = RECORD_LEN + EXTENTS_MAX * size_of::<Extent>();
    let items = match request {
        Ok(Request::Acquire(acquire)) => acquire.keys.len() * each,
        Ok(Request::Reserve(reserve)) => reserve.objects.len() * each,
        Ok(Request::Exists(lookup) | Request::Remove(lookup)) => lookup.keys.len(),
        Ok(
            Request::Release { ids, .. } | Request::Renew { ids, .. } | Request::Abort { ids, .. },
        ) => ids.len(),
        Ok(Request::Commit(commits)) => commits.len(),
        Ok(Request::Prepare(lengths)) => lengths.len() * each,
        Ok(Request::Store(store)) => store.objects.len(),
        Ok(Request::Used(used)) => used.objects.len(),
        Ok(Request::Index) => 0,
        // A refusal: its text is short, and may repeat a name.
        Ok(Request::Hello(_)) | Err(_) => ROOM / 2,
    };
    HEAD_LEN + items
}

/// Bytes of an answer with this many statuses.
pub(super) const fn statuses_len(statuses: usize) -> usize {
    HEAD_LEN + statuses * RECORD_LEN
}

/// Bytes of the answer to an acquire that has waited.
pub(super) fn grants_len(grants: &Grants) -> usize {
    let each = |extents: &[Extent]| RECORD_LEN + size_of_val(extents);
    let outcomes = grants.outcomes().iter();
    let records = outcomes.map(|outcome| outcome.as_ref().map_or(RECORD_LEN, |l| each(&l.extents)));
    HEAD_LEN + records.sum::<usize>()
}
