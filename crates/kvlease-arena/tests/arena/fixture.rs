//! A directory of its own on tmpfs for every test, removed when the test ends.

use std::{fs, os::unix::fs::MetadataExt, path::PathBuf, thread, time::Duration};

use kvlease_arena::{Arena, ArenaError, SegmentOptions};
use kvlease_sys::Digest;
use kvlease_types::{ByteSize, Checksum, Extent, Offset, SegmentName};
use tempfile::TempDir;

pub(crate) const CAPACITY: ByteSize = ByteSize::mib(8);
pub(crate) const LEASE_TTL_MAX: Duration = Duration::from_secs(600);
pub(crate) const NAME: &str = "shared_memory";

pub(crate) struct Fixture {
    dir: TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self { dir: TempDir::with_prefix_in("kvlease-test-", "/dev/shm").unwrap() }
    }

    pub(crate) fn options(&self) -> SegmentOptions {
        SegmentOptions {
            dir: self.dir.path().to_owned(),
            ..SegmentOptions::new(name(), CAPACITY, LEASE_TTL_MAX)
        }
    }

    /// Opens the arena. A child that another test is starting has this process's locks for a moment,
    /// including those of an arena that was just dropped.
    pub(crate) fn open(&self) -> Arena {
        self.open_with(&self.options())
    }

    /// Opens the arena with other options, as [`Self::open`] does.
    pub(crate) fn open_with(&self, options: &SegmentOptions) -> Arena {
        for _ in 0..1_000 {
            match Arena::open(options) {
                Err(ArenaError::InUse { .. }) => thread::sleep(Duration::from_millis(5)),
                opened => return opened.unwrap(),
            }
        }
        panic!("another process has the arena");
    }

    /// The error of opening, which must be one line.
    pub(crate) fn refusal(&self, options: &SegmentOptions) -> (ArenaError, String) {
        let error = Arena::open(options).unwrap_err();
        let line = error.to_string();
        assert!(!line.contains('\n'), "{line:?}");
        (error, line)
    }

    pub(crate) fn public(&self) -> PathBuf {
        self.dir.path().join(NAME)
    }

    pub(crate) fn private(&self, file: &str) -> PathBuf {
        self.dir.path().join(format!(".kvlease.{NAME}")).join(file)
    }

    /// Inode of the file with the public name.
    pub(crate) fn inode(&self) -> u64 {
        fs::metadata(self.public()).unwrap().ino()
    }

    pub(crate) fn remove_public(&self) {
        fs::remove_file(self.public()).unwrap();
    }
}

pub(crate) fn name() -> SegmentName {
    NAME.parse().unwrap()
}

pub(crate) fn populate(arena: &Arena) {
    while !arena.populate_next().unwrap().is_complete() {}
}

pub(crate) fn write(arena: &Arena, at: u64, bytes: &[u8]) -> Checksum {
    let mut digest = Digest::new();
    arena.write(Offset::new(at), bytes, &mut digest);
    digest.finish()
}

pub(crate) fn read(arena: &Arena, at: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    arena.read(extent(at, len as u64), &mut bytes, None);
    bytes
}

pub(crate) fn extent(at: u64, len: u64) -> Extent {
    Extent::new(Offset::new(at), ByteSize::new(len))
}
