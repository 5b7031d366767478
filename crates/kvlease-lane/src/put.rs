//! Objects written into the arena: reserved, filled, committed.

use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use kvlease_api::lane::{
    Answer, Commit, CommitWriter, DoneStatus, RequestedObject, ReservationRecord, Reservations,
    ReserveStatus, ReserveWriter, Unfit,
};
use kvlease_attach::Attachment;
use kvlease_sys::{Digest, OfProcess};
use kvlease_types::{ByteSize, Checksum, Extent, Key};

use super::{
    Lane, LaneError, connection::Connection, connection_state::ConnectionState, error::Fault,
    lane_core::LaneCore, outcome::LanePut, session::Session,
};

/// How much is copied between two looks at the deadline.
const PIECE_LEN: usize = 4 << 20;

/// Extents of the arena to write one object into. Dropping it gives them back, and ends the right to
/// write there.
///
/// It does nothing in a forked child: the reservation is the parent's.
#[derive(Debug)]
pub struct Reservation {
    group: Arc<Group>,
    write: u64,
    /// Which of the group's extents are its own.
    extents: Range<u32>,
    committed: bool,
}

/// Shared state of the reservations of one answer.
#[derive(Debug)]
struct Group {
    core: Arc<LaneCore>,
    connection: Arc<ConnectionState>,
    process: OfProcess<()>,
    deadline: Instant,
    /// The extents of all reservations, one after the other.
    extents: Vec<Extent>,
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
        let reserve = async |connection: &mut Connection| {
            let asked = Instant::now();
            let write = |out: &mut Vec<u8>, request| {
                let mut frame = ReserveWriter::begin(out, request, &self.core.bucket);
                for (key, len) in objects {
                    match frame.push(RequestedObject { len: *len, key: key.as_str() }) {
                        Ok(()) => {}
                        Err(Unfit::Full) => break,
                        Err(Unfit::Name(error)) => {
                            unreachable!("a key was checked when it was made: {error}")
                        }
                    }
                }
                frame.finish();
            };
            let read = |answer: Answer<'_>, connection: &Arc<ConnectionState>| match answer {
                Answer::Reservations(answers) => {
                    let deadline = asked.checked_add(answers.ttl).unwrap_or(asked);
                    Ok(reservations((&self.core, connection), deadline, answers, objects.len()))
                }
                _ => Err(Fault::Protocol("no answer to a reservation".to_owned())),
            };
            connection.exchange(write, read).await
        };
        self.core.call(None, limit, reserve).await
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
            let of = Arc::clone(&first.group.connection);
            let rest = &filled[outcomes.len()..];
            // Those of one connection go together.
            let together =
                rest.iter().take_while(|(other, _)| Arc::ptr_eq(&other.group.connection, &of));
            let commits = together.map(|(reservation, checksum)| Commit {
                write: reservation.write,
                checksum: *checksum,
            });
            let commits: Vec<_> = commits.collect();
            let done = self.commit_on(&of, &commits, limit).await?;
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
        of: &Arc<ConnectionState>,
        commits: &[Commit],
        limit: Duration,
    ) -> Result<Vec<LanePut>, LaneError> {
        let commit = async |connection: &mut Connection| {
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
                        _ => LanePut::Expired,
                    };
                    Ok(statuses.take(commits.len()).map(outcome).collect())
                }
                _ => Err(Fault::Protocol("no answer to a commit".to_owned())),
            };
            connection.exchange_preparing(write, read).await
        };
        self.core.call(Some(of), limit, commit).await
    }
}

/// The reservations of an answer about this many objects.
fn reservations(
    (core, connection): (&Arc<LaneCore>, &Arc<ConnectionState>),
    deadline: Instant,
    answers: Reservations<'_>,
    objects: usize,
) -> Vec<Result<Reservation, LanePut>> {
    let mut all = Vec::with_capacity(answers.len());
    let granted = |answer| match answer {
        ReservationRecord::Granted { write, extents } => {
            let start = all.len() as u32;
            all.extend(extents.iter());
            Ok((write, start..all.len() as u32))
        }
        ReservationRecord::Refused(ReserveStatus::Exists | ReserveStatus::BeingWritten) => {
            Err(LanePut::Exists)
        }
        ReservationRecord::Refused(status) => Err(LanePut::Refused(status)),
    };
    let granted: Vec<_> = answers.take(objects).map(granted).collect();
    let group = Arc::new(Group {
        core: Arc::clone(core),
        connection: Arc::clone(connection),
        process: OfProcess::new(()),
        deadline,
        extents: all,
    });
    let reservation = |(write, extents)| {
        let group = Arc::clone(&group);
        Reservation { group, write, extents, committed: false }
    };
    granted.into_iter().map(|granted| granted.map(reservation)).collect()
}

impl Reservation {
    /// Writes the object, given by its parts in their order, on this thread. `None` if its time is
    /// over or the daemon lied about the extents: nothing more is written then.
    pub fn fill<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) -> Option<Checksum> {
        let Group { core, deadline, .. } = &*self.group;
        fill(&core.session, self.extents(), *deadline, parts)
    }

    /// Checksum of the bytes that are there, summed on this thread: for an object that others have
    /// written, such as a device. `None` if its time is over or the daemon lied about the extents.
    pub fn sum(&self) -> Option<Checksum> {
        let mut digest = Digest::new();
        self.attachment().digest_rest(self.extents(), 0, &mut digest).ok()?;
        let is_over = Instant::now() >= self.deadline() || self.attachment().is_lost();
        (!is_over).then(|| digest.finish())
    }

    /// Places in the arena to write the object into, in their order. Not checked against the mapping.
    pub fn extents(&self) -> &[Extent] {
        &self.group.extents[self.extents.start as usize..self.extents.end as usize]
    }

    /// End of the time in which it can be written and committed, counted from before the request left.
    pub fn deadline(&self) -> Instant {
        self.group.deadline
    }

    /// The mapping of the arena.
    pub fn attachment(&self) -> &Arc<Attachment> {
        self.group.core.session.attachment()
    }

    /// The lane that it came over, which alone can commit it.
    pub fn lane(&self) -> Lane {
        Lane { core: Arc::clone(&self.group.core) }
    }
}

/// Writes an object into these extents, on this thread. `None` if the time is over or the extents are
/// none of the arena: nothing more is written then.
pub(super) fn fill<'a>(
    session: &Session,
    extents: &[Extent],
    deadline: Instant,
    parts: impl IntoIterator<Item = &'a [u8]>,
) -> Option<Checksum> {
    let arena = session.writable()?;
    arena.prefault(extents).ok()?;
    // How much is left until the next look at the clock.
    let (mut digest, mut from, mut left) = (Digest::new(), 0, 0);
    for piece in parts.into_iter().flat_map(|part| part.chunks(PIECE_LEN)) {
        if piece.len() > left {
            if Instant::now() >= deadline {
                return None;
            }
            left = PIECE_LEN;
        }
        left -= piece.len();
        arena.write_part(extents, from, piece, Some(&mut digest)).ok()?;
        from += piece.len() as u64;
    }
    // What was written into an arena that was truncated meanwhile is nowhere.
    (!session.attachment().is_lost()).then(|| digest.finish())
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let Group { core, connection, process, .. } = &*self.group;
        if !self.committed && process.get().is_some() {
            connection.give_up(self.write);
            core.pool.flush(connection);
        }
    }
}
