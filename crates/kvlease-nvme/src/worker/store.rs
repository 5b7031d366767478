//! Store of an object, piece by piece.

use std::thread;

use kvlease_sys::{Digest, IoBuffer, MappedExtent};
use kvlease_tier::{Object, Source, SourceChanged, Stored, TierError};
use kvlease_types::ByteSize;
use tokio::sync::oneshot;

use crate::{
    commit::ObjectCommit,
    device::{Completed, Direction, Split, Token, Transfer},
    fingerprint::Fingerprint,
    format::{
        BLOCK,
        record::{Header, KIND_OBJECT, Layout},
    },
    pieces::{PART, Pieces},
    segments::{Reservation, Room},
    shared::{Shared, io_error},
    state::{Removed, StoreStart, Written},
    ticket::Ticket,
};

/// Store that a caller asks for.
pub(crate) struct StoreJob {
    pub(crate) object: Object,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) source: Box<dyn Source>,
    pub(crate) reply: oneshot::Sender<Result<Stored, TierError>>,
    pub(crate) ticket: Ticket,
}

/// Store under way.
pub(super) struct Store {
    job: StoreJob,
    layout: Layout,
    pieces: Pieces,
    /// `None` if the source notices changes: then a load is the next to compare the checksum.
    digest: Option<Digest>,
    reservation: Option<Reservation>,
    /// Whether the device reads the source's memory.
    is_shared: bool,
    /// The next piece to be written.
    next: u32,
    in_flight: u32,
    /// Outcome of a store that is not to be committed. A caller that gave up gets none.
    ended: Option<Option<Result<Stored, TierError>>>,
}

/// End of a store in the worker.
pub(super) enum Ended {
    /// The record is written.
    Written(ObjectCommit),
    /// The record is written, but maybe with other bytes: it is to be removed.
    Changed(ObjectCommit, Changed),
    /// It is not to be published, or was there.
    Answered,
}

/// Record that is to be removed, and who is told.
pub(super) struct Changed {
    pub(super) removed: Removed,
    pub(super) reply: oneshot::Sender<Result<Stored, TierError>>,
}

impl Store {
    pub(super) fn new(job: StoreJob) -> Self {
        let Object { name, stat } = &job.object;
        let names_len = name.bucket.as_str().len() + name.key.as_str().len();
        let layout = Layout::of(names_len, stat.len.bytes());
        Self {
            layout,
            pieces: Pieces::new(layout, stat.len.bytes()),
            digest: (!job.source.notices_changes()).then(Digest::new),
            reservation: None,
            is_shared: false,
            next: 0,
            in_flight: 0,
            ended: None,
            job,
        }
    }

    /// Ends the store if the caller gave it up. Once all pieces are on their way it is completed: then
    /// the record is whole, and it would be found at the next start.
    pub(super) fn check_cancelled(&mut self) {
        if self.next < self.pieces.count() && self.ended.is_none() && self.job.reply.is_closed() {
            self.ended = Some(None);
        }
    }

    /// Ends the store if it has no room yet, since the tier is closed.
    pub(super) fn close(&mut self) {
        if self.reservation.is_none() {
            self.ended.get_or_insert(Some(Err(TierError::Closed)));
        }
    }

    /// Whether a piece is to be written. Asks for room if there is none yet.
    pub(super) fn is_hungry(&mut self, shared: &Shared) -> bool {
        if self.reservation.is_none() && self.ended.is_none() {
            self.reserve(shared);
        }
        self.reservation.is_some() && self.ended.is_none() && self.next < self.pieces.count()
    }

    fn reserve(&mut self, shared: &Shared) {
        let StoreJob { object, fingerprint, .. } = &self.job;
        let mut state = shared.state();
        match state.start_store(*fingerprint, object.stat, self.layout.blocks) {
            StoreStart::Present => self.ended = Some(Some(Ok(Stored::Present))),
            StoreStart::Room(Room::At(reservation)) => self.reservation = Some(reservation),
            StoreStart::Room(Room::Full) => self.ended = Some(Some(Err(TierError::Full))),
            StoreStart::Room(Room::Later) => match state.trouble {
                Some(code) => {
                    let error = std::io::Error::from_raw_os_error(code);
                    self.ended = Some(Some(Err(io_error("starting a segment")(error))));
                }
                None => shared.wake_maintenance(),
            },
        }
    }

    /// Write of the next piece; gives the buffer back if the source has changed.
    pub(super) fn next_transfer(
        &mut self,
        job: u64,
        mut buffer: IoBuffer,
        shared: &Shared,
        takes_shared: bool,
    ) -> Result<Transfer, IoBuffer> {
        let reservation = self.reservation.expect("a hungry store has room");
        let split = self.pieces.split(self.next).filter(|_| takes_shared).unwrap_or_default();
        let memory = match self.fill(&reservation, &mut buffer, shared, split) {
            Ok(memory) => memory,
            Err(error) => {
                self.ended = Some(Some(Err(error.into())));
                return Err(buffer);
            }
        };
        let piece = self.next;
        self.next += 1;
        self.in_flight += 1;
        let place = reservation.place;
        let record_at = shared.geometry.offset(place.segment, place.block.into());
        Ok(Transfer {
            token: Token { job, piece },
            direction: Direction::Write,
            offset: record_at + self.pieces.range(piece).start,
            buffer,
            len: self.pieces.piece_len(piece),
            split,
            shared: memory,
        })
    }

    /// Fills a buffer with the next piece, without what the device reads from the source's memory: that is
    /// returned. The last one is not written before the checksum of all of
    /// them is right, or the source says that they did not change.
    fn fill(
        &mut self,
        reservation: &Reservation,
        buffer: &mut [u8],
        shared: &Shared,
        split: Split,
    ) -> Result<Vec<MappedExtent>, SourceChanged> {
        let Object { name, stat } = &self.job.object;
        let piece = self.next;
        if piece == 0 {
            let header = Header {
                position: reservation.position,
                kind: KIND_OBJECT,
                bucket: name.bucket.as_str(),
                key: name.key.as_str(),
                len: stat.len.bytes(),
                checksum: stat.checksum.xxh3_64(),
            };
            header.encode(&shared.secret, buffer);
        }
        let (mut data, mut end) = (self.pieces.data(piece), self.pieces.piece_len(piece));
        let mut memory = Vec::new();
        if split.shared > 0
            && let Some(given) = self.job.source.memory(split.shared as u64)
        {
            if let Some(digest) = &mut self.digest {
                given.iter().for_each(|extent| extent.digest(digest));
            }
            memory = given;
            self.is_shared = true;
            data.end -= split.shared;
            end -= split.shared;
        }
        for part in buffer[data.clone()].chunks_mut(PART) {
            self.job.source.read(part, self.digest.as_mut())?;
            thread::yield_now();
        }
        buffer[data.end..end].fill(0);
        let is_last = piece + 1 == self.pieces.count();
        let is_right = || match &self.digest {
            Some(digest) => digest.finish() == stat.checksum,
            None => self.job.source.is_unchanged(),
        };
        if is_last && !is_right() { Err(SourceChanged) } else { Ok(memory) }
    }

    /// Takes note of a piece that was written.
    pub(super) fn take(&mut self, done: Completed, free: &mut Vec<IoBuffer>) {
        self.in_flight -= 1;
        free.push(done.buffer);
        if let Err(error) = done.result {
            let failed = Err(io_error("writing an object")(error));
            self.ended.get_or_insert(Some(failed));
        }
    }

    /// Whether nothing is left to be done by the worker.
    pub(super) fn is_over(&self) -> bool {
        self.in_flight == 0 && (self.ended.is_some() || self.next == self.pieces.count())
    }

    /// Ends a store that is over.
    pub(super) fn end(self, shared: &Shared) -> Ended {
        let Self { job, reservation, ended, layout, is_shared, .. } = self;
        let StoreJob { object, fingerprint, source, reply, ticket } = job;
        let is_unchanged = !is_shared || source.is_unchanged();
        drop(source);
        let Some(outcome) = ended else {
            let reservation = reservation.expect("its pieces were written");
            let written = Written { fingerprint, stat: object.stat, reservation };
            let size = ByteSize::new(layout.blocks * BLOCK as u64);
            if is_unchanged {
                return Ended::Written(ObjectCommit { written, size, reply, ticket });
            }
            let removed = Removed { fingerprint, only_at: Some(reservation.place) };
            // It is found at the next start, so it becomes an object that is removed.
            let (nobody, _) = oneshot::channel();
            let commit = ObjectCommit { written, size, reply: nobody, ticket };
            return Ended::Changed(commit, Changed { removed, reply });
        };
        if let Some(reservation) = reservation {
            shared.state().abandon(fingerprint, &reservation);
            shared.wake_maintenance();
        }
        drop(ticket);
        if let Some(result) = outcome {
            // Without a receiver the caller gave up.
            let _ = reply.send(result);
        }
        Ended::Answered
    }
}
