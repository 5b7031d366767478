//! Objects on their way out, for clients without shared memory.

use bytes::Bytes;
use kvlease_cache::Lease;
use kvlease_sys::Digest;
use kvlease_types::{Checksum, Miss};

use crate::{cursor::Cursor, grants::Grants};

/// The most bytes that one piece of a read carries.
pub const READ_PIECE_MAX: usize = 256 << 10;

/// An object that is being read out of the arena. Its lease lives as long as this does.
///
/// The last piece is given out only once all bytes were found to match the object's checksum, so
/// a client that needs all of them never takes a corrupt object for a good one.
#[derive(Debug)]
pub struct Read {
    /// Keeps the lease.
    grants: Grants,
    lease: Lease,
    position: u64,
    cursor: Cursor,
    digest: Digest,
    /// The most bytes of a piece.
    piece_max: usize,
}

/// Reason why a read cannot go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReadError {
    /// The bytes in the arena are not those that were stored; the object is removed.
    #[error("the object's bytes do not match its checksum: it was removed")]
    Corrupt,
    /// The caller took longer than the longest lease between two pieces.
    #[error("the reader was too slow: the lease ended before all bytes were read")]
    TooSlow,
    /// The store that nodes share failed.
    #[error("the shared store failed: see the daemon's log")]
    StoreFailed,
}

impl Read {
    /// Reads under the only lease of `grants`.
    pub(crate) fn new(grants: Grants) -> Result<Self, Miss> {
        let lease = grants.first()?.clone();
        let (cursor, digest) = (Cursor::default(), Digest::new());
        Ok(Self { grants, lease, position: 0, cursor, digest, piece_max: READ_PIECE_MAX })
    }

    /// Gives out pieces of at most this many bytes, which are more than none, from now on.
    pub fn limit_pieces(&mut self, piece_max: usize) {
        self.piece_max = piece_max.clamp(1, READ_PIECE_MAX);
    }

    /// How many bytes are still to be given out; all of the object's at first.
    pub fn left(&self) -> u64 {
        self.lease.len.bytes() - self.position
    }

    /// The checksum that the object was stored with.
    pub fn checksum(&self) -> Checksum {
        self.lease.checksum
    }

    /// The next piece, up to [`READ_PIECE_MAX`] bytes or as [limited](Self::limit_pieces); `None` behind the
    /// last one.
    pub fn next_piece(&mut self) -> Result<Option<Bytes>, ReadError> {
        if self.left() == 0 {
            return Ok(None);
        }
        let wanted = self.left().min(self.piece_max as u64) as usize;
        let mut piece = Vec::with_capacity(wanted);
        while piece.len() < wanted {
            let left = (wanted - piece.len()) as u64;
            let run = self.cursor.advance(&self.lease.extents, left);
            self.grants.shared().arena.append_cached(run, &mut piece, &mut self.digest);
        }
        self.position += wanted as u64;
        // The lease is checked behind the copy: a copy that outlived it is not given out, and its
        // bytes say nothing of the object.
        let shared = self.grants.shared();
        if !shared.renew_read(self.grants.caller(), self.lease.id) {
            return Err(ReadError::TooSlow);
        }
        if self.left() == 0 {
            let intact = self.digest.finish() == self.checksum();
            shared.record_verification(
                self.lease.slot,
                self.lease.generation,
                intact,
                "when it was read",
            );
            if !intact {
                return Err(ReadError::Corrupt);
            }
        }
        Ok(Some(Bytes::from(piece)))
    }
}
