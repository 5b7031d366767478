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
        Ok(Self { grants, lease, position: 0, cursor: Cursor::default(), digest: Digest::new() })
    }

    /// How many bytes are still to be given out; all of the object's at first.
    pub fn left(&self) -> u64 {
        self.lease.len.bytes() - self.position
    }

    /// The checksum that the object was stored with.
    pub fn checksum(&self) -> Checksum {
        self.lease.checksum
    }

    /// The next piece, up to [`READ_PIECE_MAX`] bytes; `None` behind the last one.
    pub fn next_piece(&mut self) -> Result<Option<Bytes>, ReadError> {
        if self.left() == 0 {
            return Ok(None);
        }
        let wanted = self.left().min(READ_PIECE_MAX as u64) as usize;
        let mut piece = vec![0; wanted];
        let mut rest = piece.as_mut_slice();
        while !rest.is_empty() {
            let run = self.cursor.advance(&self.lease.extents, rest.len() as u64);
            let (now, later) = rest.split_at_mut(run.len.bytes() as usize);
            self.grants.shared().arena.read_cached(run, now, &mut self.digest);
            rest = later;
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
