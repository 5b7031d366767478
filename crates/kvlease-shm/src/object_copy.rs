//! One object's copy out of the segment, shared by several threads.
//!
//! The buffer is cut into pieces of [`COPY_PIECE_LEN`], which the threads copy in any order. The
//! checksum can only be taken in the order of the bytes: whoever has copied a piece and finds
//! nobody summing sums all pieces that are there by then, from the private copy. So no thread ever
//! waits for another one, and a thread that is held up holds up its own piece only.
//!
//! The mutex guards the bookkeeping, not the bytes: it is taken twice per piece, for moments.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use kvlease_types::{Checksum, Extent};

use crate::{Attachment, Digest, LentBuffer, OutOfBounds};

/// How many bytes a thread copies at a time: as much as stays in a second-level cache until it is
/// summed.
pub const COPY_PIECE_LEN: usize = 256 << 10;

/// A copy under way. Threads join it with [`Self::work`].
#[derive(Debug)]
pub struct ObjectCopy {
    attachment: Arc<Attachment>,
    extents: Vec<Extent>,
    state: Mutex<State>,
}

/// What a copy came to: every byte is in its place.
#[derive(Debug)]
pub struct CopyOutcome {
    /// The buffer, whole again.
    pub buffer: LentBuffer,
    /// The checksum of the whole object, if one was asked for.
    pub checksum: Option<Checksum>,
}

#[derive(Debug)]
struct State {
    /// What nobody copies yet; `None` when there is no more.
    unclaimed: Option<LentBuffer>,
    /// Where in the object that begins.
    offset: u64,
    /// What is copied and summed, or need not be; `None` once the copy has ended.
    ready: Option<LentBuffer>,
    /// The pieces from the first that is not summed on; `None` for one that is being copied.
    copied: VecDeque<Option<LentBuffer>>,
    /// How many pieces were summed and have left `copied`.
    summed: usize,
    summing: Summing,
}

#[derive(Debug)]
enum Summing {
    /// No checksum was asked for.
    Never,
    /// Nobody is at it.
    Idle(Box<Digest>),
    /// Some thread is, and looks for more when it is done.
    Busy,
}

/// A piece that one thread copies.
struct Piece {
    index: usize,
    offset: u64,
    into: LentBuffer,
}

impl ObjectCopy {
    /// A copy of what follows the first `from` bytes of an object, as many as `into` takes. With a
    /// digest of those first bytes the whole object is summed, what is beyond `into` included.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`] if an extent is outside of the segment or the object too short.
    pub fn new(
        attachment: Arc<Attachment>,
        extents: Vec<Extent>,
        from: u64,
        mut into: LentBuffer,
        digest: Option<Digest>,
    ) -> Result<Self, OutOfBounds> {
        attachment.check_part(&extents, from, into.len() as u64)?;
        let summing = digest.map_or(Summing::Never, |digest| Summing::Idle(Box::new(digest)));
        let ready = Some(into.split_to(0));
        let unclaimed = (!into.is_empty()).then_some(into);
        let copied = VecDeque::new();
        let state = State { unclaimed, offset: from, ready, copied, summed: 0, summing };
        Ok(Self { attachment, extents, state: Mutex::new(state) })
    }

    /// How many threads have something to do in it.
    pub fn pieces(&self) -> usize {
        self.lock().unclaimed.as_ref().map_or(1, |rest| rest.len().div_ceil(COPY_PIECE_LEN))
    }

    /// Copies pieces until none is left. The outcome goes to exactly one of the threads that call
    /// this.
    pub fn work(&self) -> Option<CopyOutcome> {
        loop {
            let mut state = self.lock();
            let Some(piece) = state.claim() else { return self.end(state) };
            drop(state);
            if let Some(outcome) = self.copy(piece) {
                return Some(outcome);
            }
        }
    }

    fn copy(&self, mut piece: Piece) -> Option<CopyOutcome> {
        let copied =
            self.attachment.copy_part(&self.extents, piece.offset, piece.into.as_mut(), None);
        copied.expect("the whole part was checked when the copy was made");
        let mut state = self.lock();
        state.deliver(piece);
        while let Some((mut digest, pieces)) = state.take_summable() {
            drop(state);
            for piece in &pieces {
                digest.update(piece.as_ref());
            }
            state = self.lock();
            state.summing = Summing::Idle(digest);
            state.keep(pieces);
        }
        self.end(state)
    }

    /// Ends the copy if nothing is left to do in it.
    fn end(&self, mut state: MutexGuard<'_, State>) -> Option<CopyOutcome> {
        if state.unclaimed.is_some() || !state.copied.is_empty() {
            return None;
        }
        if matches!(state.summing, Summing::Busy) {
            return None;
        }
        let buffer = state.ready.take()?;
        let checksum = match std::mem::replace(&mut state.summing, Summing::Never) {
            Summing::Idle(mut digest) => {
                let end = state.offset;
                drop(state);
                let rest = self.attachment.digest_rest(&self.extents, end, &mut digest);
                rest.expect("all extents were checked when the copy was made");
                Some(digest.finish())
            }
            Summing::Never | Summing::Busy => None,
        };
        Some(CopyOutcome { buffer, checksum })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in the sections can panic half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes the next piece off what nobody copies yet.
    fn claim(&mut self) -> Option<Piece> {
        let mut rest = self.unclaimed.take()?;
        let into = rest.split_to(rest.len().min(COPY_PIECE_LEN));
        let piece = Piece { index: self.summed + self.copied.len(), offset: self.offset, into };
        self.offset += piece.into.len() as u64;
        self.copied.push_back(None);
        // An empty rest would keep the buffer's owner for no use.
        self.unclaimed = (!rest.is_empty()).then_some(rest);
        Some(piece)
    }

    /// Notes that a piece was copied.
    fn deliver(&mut self, piece: Piece) {
        self.copied[piece.index - self.summed] = Some(piece.into);
        if matches!(self.summing, Summing::Never) {
            let front = self.take_front();
            self.keep(front);
        }
    }

    /// What can be summed now, unless somebody is at it.
    fn take_summable(&mut self) -> Option<(Box<Digest>, Vec<LentBuffer>)> {
        if !matches!((&self.summing, self.copied.front()), (Summing::Idle(_), Some(Some(_)))) {
            return None;
        }
        match std::mem::replace(&mut self.summing, Summing::Busy) {
            Summing::Idle(digest) => Some((digest, self.take_front())),
            _ => unreachable!("it was idle above"),
        }
    }

    /// The pieces that have no gap before them.
    fn take_front(&mut self) -> Vec<LentBuffer> {
        let gap = self.copied.iter().position(Option::is_none).unwrap_or(self.copied.len());
        self.summed += gap;
        self.copied.drain(..gap).flatten().collect()
    }

    /// Puts pieces that follow each other to what is ready.
    fn keep(&mut self, pieces: Vec<LentBuffer>) {
        self.ready = pieces.into_iter().fold(self.ready.take(), |ready, piece| match ready {
            Some(ready) => Some(ready.join(piece)),
            None => Some(piece),
        });
    }
}
