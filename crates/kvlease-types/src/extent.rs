//! Places inside the arena.

use std::fmt;

use crate::ByteSize;

/// A position inside the arena, in bytes from the first byte of the segment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Offset(u64);

impl Offset {
    /// The position `bytes` after the start of the arena.
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// Bytes from the start of the arena.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A contiguous run of bytes inside the arena.
///
/// The length of an object's extent is exact: the last one ends where the object ends, not at a
/// page boundary.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Extent {
    /// Start of the run.
    pub offset: Offset,
    /// How long it is.
    pub len: ByteSize,
}

impl Extent {
    /// The run of `len` bytes at `offset`.
    pub const fn new(offset: Offset, len: ByteSize) -> Self {
        Self { offset, len }
    }

    /// The first byte after the run, or `None` when that is beyond 64 bits.
    pub fn end(self) -> Option<Offset> {
        self.offset.0.checked_add(self.len.bytes()).map(Offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_an_extent_does_not_wrap() {
        let run = Extent::new(Offset::new(4096), ByteSize::new(10));
        assert_eq!(run.end(), Some(Offset::new(4106)));
        assert_eq!(Extent::new(Offset::new(u64::MAX), ByteSize::new(1)).end(), None);
    }
}
