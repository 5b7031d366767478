//! Blocks on their way to an address that is not a multiple of a cache line.

use super::BLOCK;

/// A cache line, which non-temporal stores should fill as a whole.
const LINE: usize = 64;
const VECTOR: usize = 32;

/// Private buffer with the alignment of the target. A block is appended to the rest of the block
/// before it, and the lines that are then complete are written.
pub(super) struct Line {
    buffer: Buffer,
    /// Destination of the buffer's first byte.
    target: *mut u8,
    /// Bytes at the buffer's start that are not written yet.
    filled: usize,
    /// Bytes of the first line that lie before the target.
    skipped: usize,
}

#[repr(align(64))]
struct Buffer([u8; LINE + BLOCK]);

impl Line {
    pub(super) fn new(target: *mut u8) -> Self {
        let skipped = target.addr() % LINE;
        let target = target.wrapping_sub(skipped);
        Self { buffer: Buffer([0; LINE + BLOCK]), target, filled: skipped, skipped }
    }

    /// Place of the next block.
    pub(super) fn place(&mut self) -> *mut u8 {
        self.buffer.0[self.filled..].as_mut_ptr()
    }

    /// Writes the lines that are complete with the block that was just put into its place; `vector`
    /// writes half a line.
    ///
    /// # Safety
    ///
    /// The target must be writable for all blocks that were put in.
    #[inline(always)]
    pub(super) unsafe fn advance(&mut self, vector: impl Fn(*const u8, *mut u8)) {
        let filled = self.filled + BLOCK;
        let whole = filled / LINE * LINE;
        let mut written = 0;
        // The first line begins before the target: only its end is written, plainly.
        if self.skipped > 0 {
            let first = &self.buffer.0[self.skipped..LINE];
            let to = self.target.wrapping_add(self.skipped);
            // SAFETY: the target begins here, and a block is longer than a line.
            unsafe { first.as_ptr().copy_to_nonoverlapping(to, first.len()) };
            (self.skipped, written) = (0, LINE);
        }
        let lines = &self.buffer.0[..whole];
        while written < whole {
            vector(lines[written..].as_ptr(), self.target.wrapping_add(written));
            written += VECTOR;
        }
        // The rest moves to the front, for the next block to follow.
        self.target = self.target.wrapping_add(whole);
        self.buffer.0.copy_within(whole..filled, 0);
        self.filled = filled - whole;
    }

    /// Writes the rest.
    ///
    /// # Safety
    ///
    /// That of [`Self::advance`].
    pub(super) unsafe fn finish(self) {
        let rest = &self.buffer.0[self.skipped..self.filled];
        let to = self.target.wrapping_add(self.skipped);
        // SAFETY: these are the last bytes of the blocks that were put in.
        unsafe { rest.as_ptr().copy_to_nonoverlapping(to, rest.len()) };
    }
}
