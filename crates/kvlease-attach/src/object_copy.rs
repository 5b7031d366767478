//! Copy of one object out of the segment, by one thread or by several.
//!
//! A copy with a checksum belongs to one thread: the sum has to be taken in the order of the bytes,
//! and taken on the way it costs nothing, since the copy waits for memory. Without a checksum the
//! buffer is cut into pieces of [`COPY_PIECE_LEN`], which the threads copy in any order. No thread
//! ever waits for another one.
//!
//! The mutex guards the bookkeeping, not the bytes: it is taken twice per piece, for moments.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kvlease_sys::{Digest, ExternalBuffer};
use kvlease_types::{Checksum, Extent};

use crate::{Attachment, OutOfBounds};

/// Bytes that a thread copies at a time where several share a copy: so few that all threads end at
/// about the same moment.
pub const COPY_PIECE_LEN: usize = 256 << 10;

/// Copy of one object. Threads join it with [`Self::work`].
#[derive(Debug)]
pub struct ObjectCopy {
    attachment: Arc<Attachment>,
    extents: Vec<Extent>,
    state: Mutex<State>,
}

/// Result of a copy: every byte is in its place.
#[derive(Debug)]
pub struct CopyOutcome {
    /// The buffer, whole again.
    pub buffer: ExternalBuffer,
    /// Checksum of the whole object, if one was requested.
    pub checksum: Option<Checksum>,
}

#[derive(Debug)]
struct State {
    /// Rest that no thread has claimed; `None` when there is none.
    unclaimed: Option<ExternalBuffer>,
    /// Offset of the rest in the object.
    offset: u64,
    /// Digest of the bytes before the rest, until the one thread takes it.
    digest: Option<Box<Digest>>,
    /// Pieces in their order, `None` for one that is being copied.
    pieces: Vec<Option<ExternalBuffer>>,
    copying: usize,
}

/// Piece that one thread copies.
struct Piece {
    index: usize,
    offset: u64,
    into: ExternalBuffer,
    digest: Option<Box<Digest>>,
}

impl ObjectCopy {
    /// Copy of the bytes after the first `from` bytes of an object, as many as `into` takes. With a
    /// digest of those first bytes the whole object is summed, including the bytes beyond `into`.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`] if an extent is outside the segment or the object too short.
    pub fn new(
        attachment: Arc<Attachment>,
        extents: Vec<Extent>,
        from: u64,
        into: ExternalBuffer,
        digest: Option<Box<Digest>>,
    ) -> Result<Self, OutOfBounds> {
        attachment.check_part(&extents, from, into.len() as u64)?;
        let unclaimed = Some(into);
        let state = State { unclaimed, offset: from, digest, pieces: Vec::new(), copying: 0 };
        Ok(Self { attachment, extents, state: Mutex::new(state) })
    }

    /// Number of threads that can work on it.
    pub fn pieces(&self) -> usize {
        let state = self.lock();
        match (&state.digest, &state.unclaimed) {
            (None, Some(rest)) => rest.len().div_ceil(COPY_PIECE_LEN).max(1),
            _ => 1,
        }
    }

    /// Copies pieces until none is left. Exactly one of the calling threads gets the outcome.
    pub fn work(&self) -> Option<CopyOutcome> {
        loop {
            let piece = self.lock().claim()?;
            if let Some(outcome) = self.copy(piece) {
                return Some(outcome);
            }
        }
    }

    /// Copies a piece. Returns the outcome if it was the last one.
    fn copy(&self, mut piece: Piece) -> Option<CopyOutcome> {
        let end = piece.offset + piece.into.len() as u64;
        let mut copied = self.attachment.copy_part(
            &self.extents,
            piece.offset,
            piece.into.as_mut(),
            piece.digest.as_deref_mut(),
        );
        // The bytes beyond the buffer count for the checksum too.
        if let Some(digest) = &mut piece.digest {
            copied = copied.and_then(|()| self.attachment.digest_rest(&self.extents, end, digest));
        }
        copied.expect("all extents were checked when the copy was made");
        let checksum = piece.digest.map(|digest| digest.finish());
        let mut state = self.lock();
        state.pieces[piece.index] = Some(piece.into);
        state.copying -= 1;
        if state.unclaimed.is_some() || state.copying > 0 {
            return None;
        }
        // The last piece: the buffer is put together again.
        let pieces = std::mem::take(&mut state.pieces);
        let buffer = pieces.into_iter().flatten().reduce(ExternalBuffer::join);
        Some(CopyOutcome { buffer: buffer.expect("this thread's piece at least"), checksum })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in the sections can panic half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes the next piece off the rest: all of it, if there is a digest.
    fn claim(&mut self) -> Option<Piece> {
        let mut rest = self.unclaimed.take()?;
        let digest = self.digest.take();
        let len = if digest.is_some() { rest.len() } else { rest.len().min(COPY_PIECE_LEN) };
        let into = rest.split_to(len);
        let piece = Piece { index: self.pieces.len(), offset: self.offset, into, digest };
        self.offset += len as u64;
        self.pieces.push(None);
        self.copying += 1;
        // An empty rest would keep the buffer alive for no use.
        self.unclaimed = (!rest.is_empty()).then_some(rest);
        Some(piece)
    }
}
