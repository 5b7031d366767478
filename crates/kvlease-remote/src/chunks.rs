//! Memory of values on their way into the store, used again by later ones.

use std::{
    fmt, mem,
    ops::DerefMut,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;

/// Length of a chunk, in bytes.
pub(crate) const CHUNK_LEN: usize = 256 << 10;

/// Chunks that are kept while no transfer is under way: 16 MiB.
const KEPT: usize = 64;

/// Chunks that values are made of. Memory that is new costs a page fault for every 4 KiB, which takes longer
/// than the copy into it. So chunks are kept for the next values, all of them while a transfer has one, and
/// [`KEPT`] otherwise.
#[derive(Clone, Default)]
pub(crate) struct Chunks(Arc<Mutex<Memory>>);

#[derive(Default)]
struct Memory {
    /// The last one was in use last, so it may be in the processor's cache.
    free: Vec<Box<[u8]>>,
    in_use: usize,
}

/// Chunk in use; dropping it gives it back.
pub(crate) struct Chunk {
    bytes: Box<[u8]>,
    len: usize,
    chunks: Chunks,
}

impl Chunks {
    /// A chunk of `len` bytes, at most [`CHUNK_LEN`]. What is in it, it has from an earlier value.
    pub(crate) fn take(&self, len: usize) -> Chunk {
        let mut memory = self.memory();
        memory.in_use += 1;
        let free = memory.free.pop();
        drop(memory);
        let bytes = free.unwrap_or_else(|| vec![0; CHUNK_LEN].into_boxed_slice());
        Chunk { bytes, len, chunks: self.clone() }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Chunks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let memory = self.memory();
        let (free, in_use) = (memory.free.len(), memory.in_use);
        f.debug_struct("Chunks").field("free", &free).field("in_use", &in_use).finish()
    }
}

impl Chunk {
    /// The bytes, for the one who fills the chunk.
    pub(crate) fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.len]
    }
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl From<Chunk> for Bytes {
    fn from(chunk: Chunk) -> Self {
        Self::from_owner(chunk)
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        let mut memory = self.chunks.memory();
        let Memory { free, in_use } = memory.deref_mut();
        free.push(mem::take(&mut self.bytes));
        *in_use -= 1;
        let surplus = match *in_use {
            0 => free.split_off(free.len().min(KEPT)),
            _ => Vec::new(),
        };
        drop(memory);
        // Unmapping takes a while.
        drop(surplus);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_used_again_and_only_some_are_kept_when_none_is_in_use() {
        let chunks = Chunks::default();
        let mut first = chunks.take(3);
        first.as_mut().copy_from_slice(b"abc");
        let at = first.as_ref().as_ptr();
        let bytes = Bytes::from(first);
        assert_eq!((&*bytes, bytes.as_ptr()), (&b"abc"[..], at));
        let sharer = bytes.slice(1..);
        drop(bytes);
        assert_ne!(chunks.take(CHUNK_LEN).as_ref().as_ptr(), at, "its bytes are still in use");
        drop(sharer);
        assert_eq!(chunks.take(CHUNK_LEN).as_ref().as_ptr(), at);

        let many: Vec<_> = (0..2 * KEPT).map(|_| chunks.take(1)).collect();
        let mut many = many.into_iter();
        many.by_ref().take(2 * KEPT - 1).for_each(drop);
        assert_eq!(chunks.memory().free.len(), 2 * KEPT - 1, "a transfer goes on");
        drop(many);
        assert_eq!(chunks.memory().free.len(), KEPT);
    }
}
