//! Objects written into the arena: reserved, filled, committed.

use std::{
    process,
    sync::Arc,
    time::{Duration, Instant},
};

use kvlease_api::lane::{
    Answer, Commit, CommitWriter, DoneStatus, ReservationRecord, ReserveStatus, ReserveWriter,
    Unfit, Wish,
};
use kvlease_shm::Digest;
use kvlease_types::{ByteSize, Checksum, Extent, Key};

use super::{
    Lane, LaneError,
    error::Fault,
    link::Link,
    open::{Busy, Shared},
};

/// How much is copied between two looks at the deadline.
const PIECE_LEN: usize = 4 << 20;

/// What came of one object of a put.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LanePut {
    /// It is stored and visible.
    Stored,
    /// Its key has an object already, or one that is being written.
    Exists,
    /// The daemon has no room for it, it is too large, or this client may not write.
    Refused(ReserveStatus),
    /// It was not filled in its time, and is not stored.
    Late,
}

/// Extents of the arena to write one object into. Dropping it gives them back; whoever has it must
/// not write there any more by then.
///
/// It does nothing in a forked child: the reservation is the parent's.
#[derive(Debug)]
pub struct Reservation {
    shared: Arc<Shared>,
    link: Arc<Link>,
    pid: u32,
    write: u64,
    extents: Vec<Extent>,
    deadline: Instant,
    committed: bool,
}

impl Lane {
    /// Reserves space for objects: for as many of them as go into one frame, and at least one.
    ///
    /// # Errors
    ///
    /// Any [`LaneError`]; what was reserved is given back.
    pub async fn reserve(
        &self,
        objects: &[(&Key, ByteSize)],
        limit: Duration,
    ) -> Result<Vec<Result<Reservation, LanePut>>, LaneError> {
        let reserve = async |busy: &mut Busy| {
            let asked = Instant::now();
            let write = |out: &mut Vec<u8>, request| {
                let mut frame = ReserveWriter::begin(out, request, &self.shared.bucket);
                for (key, len) in objects {
                    match frame.push(Wish { len: *len, key: key.as_str() }) {
                        Ok(()) => {}
                        Err(Unfit::Full) => break,
                        Err(Unfit::Name(error)) => {
                            unreachable!("a key was checked when it was made: {error}")
                        }
                    }
                }
                frame.finish();
            };
            let read = |answer: Answer<'_>, link: &Arc<Link>| match answer {
                Answer::Reservations(answers) => {
                    let deadline = asked.checked_add(answers.ttl).unwrap_or(asked);
                    let of = |record| Reservation::of(record, &self.shared, link, deadline);
                    Ok(answers.take(objects.len()).map(of).collect())
                }
                _ => Err(Fault::Protocol("no answer to a reservation".to_owned())),
            };
            busy.connection().exchange(write, read).await
        };
        self.call(limit, reserve).await
    }

    /// Publishes objects that were filled. What is over by then is given back.
    ///
    /// # Errors
    ///
    /// Any [`LaneError`]. Then it is not known which objects were stored.
    pub async fn commit(
        &self,
        filled: Vec<(Reservation, Checksum)>,
        limit: Duration,
    ) -> Result<Vec<LanePut>, LaneError> {
        let mut filled = filled;
        let mut outcomes = Vec::with_capacity(filled.len());
        while let Some((first, _)) = filled.get(outcomes.len()) {
            let link = Arc::clone(&first.link);
            let rest = &filled[outcomes.len()..];
            // Those of one connection go together.
            let together = rest.iter().take_while(|(other, _)| Arc::ptr_eq(&other.link, &link));
            let commits = together.map(|(reservation, checksum)| Commit {
                write: reservation.write,
                checksum: *checksum,
            });
            let commits: Vec<_> = commits.collect();
            let done = self.commit_on(&link, &commits, limit).await?;
            for (outcome, (reservation, _)) in done.iter().zip(&mut filled[outcomes.len()..]) {
                reservation.committed = *outcome == LanePut::Stored;
            }
            outcomes.extend(done);
        }
        Ok(outcomes)
    }

    /// Commits as many as go into one frame.
    async fn commit_on(
        &self,
        link: &Arc<Link>,
        commits: &[Commit],
        limit: Duration,
    ) -> Result<Vec<LanePut>, LaneError> {
        let commit = async |busy: &mut Busy| {
            let write = |out: &mut Vec<u8>, request| {
                let mut frame = CommitWriter::begin(out, request);
                // What does not fit goes with the next frame.
                let _full = commits.iter().try_for_each(|commit| frame.push(*commit));
                frame.finish();
            };
            let read = |answer: Answer<'_>, _: &_| match answer {
                Answer::Done(statuses) if statuses.len() > 0 => {
                    let outcome = |status| match status {
                        DoneStatus::Done => LanePut::Stored,
                        _ => LanePut::Late,
                    };
                    Ok(statuses.take(commits.len()).map(outcome).collect())
                }
                _ => Err(Fault::Protocol("no answer to a commit".to_owned())),
            };
            busy.connection().exchange(write, read).await
        };
        self.call_on(link, limit, commit).await
    }
}

impl Reservation {
    fn of(
        record: ReservationRecord<'_>,
        shared: &Arc<Shared>,
        link: &Arc<Link>,
        deadline: Instant,
    ) -> Result<Self, LanePut> {
        match record {
            ReservationRecord::Granted { write, extents } => Ok(Self {
                shared: Arc::clone(shared),
                link: Arc::clone(link),
                pid: process::id(),
                write,
                extents: extents.iter().collect(),
                deadline,
                committed: false,
            }),
            ReservationRecord::Refused(ReserveStatus::Exists | ReserveStatus::BeingWritten) => {
                Err(LanePut::Exists)
            }
            ReservationRecord::Refused(status) => Err(LanePut::Refused(status)),
        }
    }

    /// Writes the object, given by its parts in their order, on this thread. `None` if its time is
    /// over or the daemon lied about the extents: nothing more is written then.
    pub fn fill<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) -> Option<Checksum> {
        let arena = self.shared.session.writable()?;
        let (mut digest, mut from) = (Digest::new(), 0);
        for piece in parts.into_iter().flat_map(|part| part.chunks(PIECE_LEN)) {
            if Instant::now() >= self.deadline {
                return None;
            }
            arena.write_part(&self.extents, from, piece, Some(&mut digest)).ok()?;
            from += piece.len() as u64;
        }
        Some(digest.finish())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.committed && self.pid == process::id() {
            self.link.give_up(self.write);
            self.shared.flush(&self.link);
        }
    }
}
