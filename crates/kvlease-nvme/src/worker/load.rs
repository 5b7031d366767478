//! Load of an object, piece by piece.

use std::{collections::BTreeMap, thread};

use kvlease_sys::{Digest, IoBuffer, MappedExtent};
use kvlease_tier::{Destination, Loaded, Name, Stat, TierError};
use tokio::sync::oneshot;

use crate::{
    device::{Completed, Direction, Token, Transfer},
    fingerprint::Fingerprint,
    format::record::{Header, KIND_OBJECT, Layout},
    pieces::{PART, Pieces},
    shared::{Shared, io_error},
    state::Pinned,
    ticket::Ticket,
};

/// Load that a caller asks for.
pub(crate) struct LoadJob {
    pub(crate) name: Name,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) stat: Stat,
    pub(crate) destination: Box<dyn Destination>,
    pub(crate) reply: oneshot::Sender<Result<Loaded, TierError>>,
    pub(crate) ticket: Ticket,
}

/// Load under way.
pub(super) struct Load {
    pub(super) name: Name,
    pub(super) fingerprint: Fingerprint,
    pub(super) reply: oneshot::Sender<Result<Loaded, TierError>>,
    pub(super) pinned: Pinned,
    stat: Stat,
    /// `None` once the load cannot succeed.
    destination: Option<Box<dyn Destination>>,
    /// The destination of a load that cannot succeed, kept until the device does not write to it.
    given_up: Option<Box<dyn Destination>>,
    /// Whether the device writes to the destination's memory.
    is_shared: bool,
    ticket: Ticket,
    pieces: Pieces,
    digest: Digest,
    /// The next piece to be read.
    next: u32,
    /// The next piece to be delivered.
    delivered: u32,
    /// Pieces that came before those in front of them.
    early: BTreeMap<u32, (IoBuffer, Vec<MappedExtent>)>,
    in_flight: u32,
    failed: Option<TierError>,
}

/// Outcome of a load that ended.
pub(super) struct Ended {
    pub(super) reply: oneshot::Sender<Result<Loaded, TierError>>,
    pub(super) result: Result<Loaded, TierError>,
}

impl Load {
    /// Starts a load; answers at once if the tier does not have the object.
    pub(super) fn start(job: LoadJob, shared: &Shared) -> Option<Self> {
        let LoadJob { name, fingerprint, stat, destination, reply, ticket } = job;
        let Some(pinned) = shared.state().start_load(fingerprint, stat) else {
            drop(destination);
            // Without a receiver the caller gave up.
            let _ = reply.send(Ok(Loaded::Absent));
            return None;
        };
        let names_len = name.bucket.as_str().len() + name.key.as_str().len();
        let len = stat.len.bytes();
        Some(Self {
            pieces: Pieces::new(Layout::of(names_len, len), len),
            destination: Some(destination),
            given_up: None,
            is_shared: false,
            digest: Digest::new(),
            early: BTreeMap::new(),
            next: 0,
            delivered: 0,
            in_flight: 0,
            failed: None,
            name,
            fingerprint,
            reply,
            pinned,
            stat,
            ticket,
        })
    }

    /// Gives the destination up if the caller gave the load up.
    pub(super) fn check_cancelled(&mut self) {
        if self.destination.is_some() && self.reply.is_closed() {
            self.give_up();
        }
    }

    /// Drops the destination, once the device does not write to it.
    fn give_up(&mut self) {
        let destination = self.destination.take();
        if self.is_shared {
            self.given_up = destination;
        }
    }

    /// Whether a piece is to be read.
    pub(super) fn is_hungry(&self) -> bool {
        self.destination.is_some() && self.next < self.pieces.count()
    }

    /// Read of the next piece.
    pub(super) fn next_transfer(
        &mut self,
        job: u64,
        buffer: IoBuffer,
        shared: &Shared,
        takes_shared: bool,
    ) -> Transfer {
        let piece = self.next;
        self.next += 1;
        self.in_flight += 1;
        let place = self.pinned.place;
        let record_at = shared.geometry.offset(place.segment, place.block.into());
        let split = self.pieces.split(piece).filter(|_| takes_shared).unwrap_or_default();
        let destination = self.destination.as_mut().filter(|_| split.shared > 0);
        let memory = destination.and_then(|place| place.memory(split.shared as u64));
        self.is_shared |= memory.is_some();
        Transfer {
            token: Token { job, piece },
            direction: Direction::Read,
            offset: record_at + self.pieces.range(piece).start,
            buffer,
            len: self.pieces.piece_len(piece),
            split,
            shared: memory.unwrap_or_default(),
        }
    }

    /// Takes a piece, and delivers what is in order. Returns the buffers through `free`.
    pub(super) fn take(&mut self, done: Completed, shared: &Shared, free: &mut Vec<IoBuffer>) {
        self.in_flight -= 1;
        if let Err(error) = done.result {
            self.fail(io_error("reading an object")(error));
        }
        self.early.insert(done.token.piece, (done.buffer, done.shared));
        while let Some((buffer, memory)) = self.early.remove(&self.delivered) {
            if self.destination.is_some() {
                self.deliver(&buffer, &memory, shared);
            }
            self.delivered += 1;
            free.push(buffer);
        }
        if self.destination.is_none() {
            let early = std::mem::take(&mut self.early).into_values();
            free.extend(early.map(|(buffer, _)| buffer));
        }
    }

    /// Delivers a piece, or takes what the device has written to the destination into the digest.
    fn deliver(&mut self, buffer: &[u8], memory: &[MappedExtent], shared: &Shared) {
        let piece = self.delivered;
        if piece == 0
            && let Err(error) = self.check_header(buffer, shared)
        {
            self.fail(error);
            return;
        }
        let destination = self.destination.as_mut().expect("the caller looked");
        let data = self.pieces.data(piece);
        let rest = match self.pieces.split(piece) {
            Some(split) if !memory.is_empty() => {
                memory.iter().for_each(|extent| extent.digest(&mut self.digest));
                split.before..split.before + data.len() - split.shared
            }
            _ => data,
        };
        for part in buffer[rest].chunks(PART) {
            destination.write(part, &mut self.digest);
            thread::yield_now();
        }
        if piece + 1 == self.pieces.count() {
            let found = self.digest.finish();
            if found != self.stat.checksum {
                self.fail(TierError::Corrupt { expected: self.stat.checksum, found });
            }
        }
    }

    /// Compares the header of the record with what was asked for.
    fn check_header(&self, block: &[u8], shared: &Shared) -> Result<(), TierError> {
        let expected = Header {
            position: self.pinned.position,
            kind: KIND_OBJECT,
            bucket: self.name.bucket.as_str(),
            key: self.name.key.as_str(),
            len: self.stat.len.bytes(),
            checksum: self.stat.checksum.xxh3_64(),
        };
        let reason = match Header::decode(&shared.secret, self.pinned.position, block) {
            Some(found) if found == expected => return Ok(()),
            Some(_) => "the record at its place is another object's",
            None => "there is no record at its place",
        };
        Err(TierError::Foreign { reason: reason.to_owned() })
    }

    fn fail(&mut self, error: TierError) {
        self.give_up();
        self.failed.get_or_insert(error);
    }

    /// Whether nothing is left to be done.
    pub(super) fn is_over(&self) -> bool {
        self.in_flight == 0 && (self.destination.is_none() || self.delivered == self.pieces.count())
    }

    /// Ends a load that is over.
    pub(super) fn end(self) -> Ended {
        // Before its reader knows: what it held is free then.
        drop(self.given_up);
        let result = match (self.failed, self.destination) {
            (Some(error), _) => Err(error),
            (None, Some(destination)) => {
                destination.complete();
                Ok(Loaded::Complete)
            }
            // Cancelled: no caller waits for this.
            (None, None) => Ok(Loaded::Absent),
        };
        drop(self.ticket);
        Ended { reply: self.reply, result }
    }
}
