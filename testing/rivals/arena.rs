//! Memory as the daemon's arena is, for the stores of both packages beside this file.

use std::{error::Error, fs::File, os::fd::AsFd, sync::Arc};

use kvlease_sys::{Access, Digest, Mapping};
use kvlease_tier::{Destination, Source, SourceChanged};
use kvlease_types::{ByteSize, Checksum, Extent, Offset};
use rustix::fs::{MemfdFlags, memfd_create};

/// Shared memory of 4 KiB pages, with bytes that differ from place to place.
#[derive(Clone)]
pub(crate) struct Arena(Arc<Mapping>);

impl Arena {
    pub(crate) fn new(len: usize) -> Result<Self, Box<dyn Error>> {
        let memory = File::from(memfd_create("rivals", MemfdFlags::CLOEXEC)?);
        memory.set_len(len as u64)?;
        let arena = Mapping::new(memory.as_fd(), len, Access::ReadWrite)?;
        arena.copy_in(Offset::new(0), &filled(len), None);
        Ok(Self(Arc::new(arena)))
    }

    /// The checksum of an object, which a daemon has from the put into memory.
    pub(crate) fn checksum(&self, at: u64, len: ByteSize) -> Checksum {
        let mut digest = Digest::new();
        self.0.digest(Extent::new(Offset::new(at), len), &mut digest);
        digest.finish()
    }

    /// The bytes from here on, as a source or a destination.
    pub(crate) fn place(&self, at: u64) -> Box<Place> {
        Box::new(Place { arena: Arc::clone(&self.0), from: at, at })
    }
}

/// Bytes that differ from place to place.
pub(crate) fn filled(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = (0..len.div_ceil(8)).flat_map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.take(len).collect()
}

/// Bytes in the arena.
#[derive(Debug)]
pub(crate) struct Place {
    arena: Arc<Mapping>,
    from: u64,
    at: u64,
}

impl Source for Place {
    fn read(&mut self, into: &mut [u8], digest: Option<&mut Digest>) -> Result<(), SourceChanged> {
        let extent = Extent::new(Offset::new(self.at), ByteSize::new(into.len() as u64));
        self.arena.copy_out(extent, into, digest);
        self.at += into.len() as u64;
        Ok(())
    }

    fn rewind(&mut self) -> bool {
        self.at = self.from;
        true
    }

    /// Nothing writes to it during the puts of a turn.
    fn notices_changes(&self) -> bool {
        true
    }
}

impl Destination for Place {
    fn write(&mut self, bytes: &[u8], digest: &mut Digest) {
        self.arena.copy_in(Offset::new(self.at), bytes, Some(digest));
        self.at += bytes.len() as u64;
    }

    fn complete(self: Box<Self>) {}
}
