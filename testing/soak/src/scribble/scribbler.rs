//! The client that writes where it has nothing to write.

use std::{fs::File, os::fd::AsFd, path::Path, thread, time::Duration};

use anyhow::Context;
use kvlease_sys::{Access, Mapping};
use kvlease_testing::Draws;
use kvlease_types::{ByteSize, Extent, Offset};

use super::common::Common;

/// Party whose draws decide where it writes; clients count from 0.
const SCRIBBLER: u64 = u64::MAX;

/// Longest garbage, and longest stretch of one object that is copied over another one.
const GARBAGE_MAX: u64 = 4 << 10;
const STRETCH_MAX: u64 = 128 << 10;

/// Granularity in which the daemon gives out space.
const UNIT: u64 = 4 << 10;

/// The client.
pub(super) struct Scribbler<'a> {
    common: &'a Common,
    draws: Draws,
    arena: Mapping,
}

impl<'a> Scribbler<'a> {
    /// Maps the arena for writing, as every writer of the fast lane does.
    pub(super) fn new(
        common: &'a Common,
        segment: &Path,
        capacity: ByteSize,
    ) -> anyhow::Result<Self> {
        let file = File::options().read(true).write(true).open(segment);
        let file = file.with_context(|| format!("cannot open `{}`", segment.display()))?;
        let arena = Mapping::new(file.as_fd(), capacity.bytes() as usize, Access::ReadWrite)?;
        Ok(Self { common, draws: Draws::of(common.seed, SCRIBBLER), arena })
    }

    /// Scribbles until the end.
    pub(super) fn run(mut self, pause_max: Duration) {
        while !self.common.has_ended() {
            match self.draws.below(3) {
                0 => self.flip_bit(),
                1 => self.write_garbage(),
                _ => self.copy_over(),
            }
            let pause = self.draws.below(pause_max.as_micros() as u64 + 1);
            thread::sleep(Duration::from_micros(pause));
        }
    }

    fn flip_bit(&mut self) {
        let at = self.at(1, 1);
        let mut byte = [0];
        self.arena.copy_out(extent(at, 1), &mut byte, None);
        byte[0] ^= 1 << self.draws.below(8);
        self.arena.copy_in(Offset::new(at), &byte, None);
        self.common.count("bits flipped", 1);
    }

    fn write_garbage(&mut self) {
        let len = 1 + self.draws.below(GARBAGE_MAX);
        let at = self.at(len, 1);
        let garbage = self.draws.bytes(len as usize);
        self.arena.copy_in(Offset::new(at), &garbage, None);
        self.common.count("pieces of garbage written", 1);
    }

    /// Copies good bytes of one object over those of another one.
    fn copy_over(&mut self) {
        let len = UNIT * (1 + self.draws.below(STRETCH_MAX / UNIT));
        let (from, to) = (self.at(len, UNIT), self.at(len, UNIT));
        let mut bytes = vec![0; len as usize];
        self.arena.copy_out(extent(from, len), &mut bytes, None);
        self.arena.copy_in(Offset::new(to), &bytes, None);
        self.common.count("objects copied over others", 1);
    }

    /// A place with room for `len` bytes.
    fn at(&mut self, len: u64, align: u64) -> u64 {
        let places = (self.arena.size().bytes() - len) / align + 1;
        self.draws.below(places) * align
    }
}

fn extent(at: u64, len: u64) -> Extent {
    Extent { offset: Offset::new(at), len: ByteSize::new(len) }
}
