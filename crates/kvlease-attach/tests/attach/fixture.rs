//! An arena in a directory of its own on tmpfs, removed when the test ends.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use kvlease_arena::{Arena, SegmentOptions};
use kvlease_attach::{Attachment, TrustedUsers};
use kvlease_sys::Digest;
use kvlease_types::{ByteSize, Extent, Offset, SegmentName};
use tempfile::TempDir;

pub(crate) const CAPACITY: ByteSize = ByteSize::mib(8);
const LEASE_TTL_MAX: Duration = Duration::from_secs(600);
const NAME: &str = "shared_memory";

pub(crate) struct Fixture {
    dir: TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self { dir: TempDir::with_prefix_in("kvlease-test-", "/dev/shm").unwrap() }
    }

    /// An arena that has its memory.
    pub(crate) fn open(&self) -> Arena {
        let options = SegmentOptions::new(name(), CAPACITY, LEASE_TTL_MAX);
        let options = SegmentOptions { dir: self.dir().to_owned(), ..options };
        let arena = Arena::open(&options).unwrap();
        while !arena.populate_next().unwrap().is_complete() {}
        arena
    }

    /// Attaches by name.
    pub(crate) fn attach(&self) -> Attachment {
        Attachment::open(self.dir(), &name(), TrustedUsers::default()).unwrap()
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn public(&self) -> PathBuf {
        self.dir().join(NAME)
    }

    /// Removes both names of the arena, as its owner.
    pub(crate) fn remove_names(&self) {
        fs::remove_file(self.dir().join(format!(".kvlease.{NAME}")).join("arena")).unwrap();
        self.remove_public();
    }

    pub(crate) fn remove_public(&self) {
        fs::remove_file(self.public()).unwrap();
    }
}

pub(crate) fn name() -> SegmentName {
    NAME.parse().unwrap()
}

pub(crate) fn write(arena: &Arena, at: u64, bytes: &[u8]) {
    arena.write(Offset::new(at), bytes, &mut Digest::new());
}

pub(crate) fn extent(at: u64, len: u64) -> Extent {
    Extent::new(Offset::new(at), ByteSize::new(len))
}
