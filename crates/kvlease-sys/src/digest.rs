//! Running checksum of an object's bytes.

use std::fmt;

use kvlease_types::Checksum;
use twox_hash::XxHash3_64;

#[cfg(target_arch = "x86_64")]
use crate::copy::{Engine, ReadAhead};
#[cfg(target_arch = "x86_64")]
use crate::xxh3::avx512::{self, GROUP_BLOCKS};
use crate::xxh3::{self, Accumulators, BLOCK, STRIPE};

/// Most bytes that are kept back: the end of the input has a form of its own, which needs a whole
/// stripe.
const KEPT_MAX: usize = BLOCK + STRIPE;

/// Running XXH3-64, fed piece by piece in the order of the object's bytes.
///
/// The function was chosen by measurement (`benches/copy.rs`): on bytes in the cache it takes a
/// third of the time of CRC-64/NVME, whose implementation has no 256-bit form, on processors
/// without AVX-512, and about the same on others.
#[derive(Clone)]
pub struct Digest {
    accumulators: Accumulators,
    /// Bytes that were fed and are not in the accumulators: the last stripe at least, and all of a
    /// short input.
    kept: [u8; KEPT_MAX],
    kept_len: usize,
    len: u64,
}

/// Destination of fed bytes, besides the sum.
#[derive(Clone, Copy)]
pub(crate) enum Delivery {
    /// Nowhere.
    None,
    /// To this address, where they are about to be read.
    Store(*mut u8),
    /// To this address, around the caches. A fence must follow.
    Stream(*mut u8),
}

impl Digest {
    /// The digest of no bytes yet.
    pub fn new() -> Self {
        Self { accumulators: Accumulators::new(), kept: [0; KEPT_MAX], kept_len: 0, len: 0 }
    }

    /// The checksum of these bytes.
    pub fn of(bytes: &[u8]) -> Checksum {
        Checksum::new(xxh3(bytes))
    }

    /// Takes in the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        // SAFETY: the bytes are a slice, and nothing is delivered.
        unsafe { self.take(bytes.as_ptr(), bytes.len(), Delivery::None) };
    }

    /// Takes in the next bytes and delivers them: exactly the bytes that were summed, even if the
    /// source changes meanwhile.
    ///
    /// # Safety
    ///
    /// `source` must be readable and the delivery's address writable for `len` bytes, and they must
    /// not overlap. Either may be shared with other processes.
    pub(crate) unsafe fn take(&mut self, mut source: *const u8, mut len: usize, mut to: Delivery) {
        self.len += len as u64;
        while self.kept_len + len >= KEPT_MAX {
            let taken = if self.kept_len == 0 {
                // Whole blocks, straight from the source; a stripe at least is kept back.
                let blocks = (len - STRIPE) / BLOCK;
                // SAFETY: that many blocks are within the source, and so within the target.
                unsafe { take_blocks(&mut self.accumulators, source, blocks, to) };
                blocks * BLOCK
            } else {
                // First the block that was begun.
                let missing = BLOCK.saturating_sub(self.kept_len);
                // SAFETY: more than that is left, or the loop would have ended.
                unsafe { self.keep(source, missing, to) };
                self.take_kept_block();
                missing
            };
            source = source.wrapping_add(taken);
            len -= taken;
            to = to.after(taken);
        }
        // SAFETY: this is the rest, and there is room for it, or the loop would not have ended.
        unsafe { self.keep(source, len, to) };
    }

    /// Keeps bytes back, and delivers them.
    ///
    /// # Safety
    ///
    /// That of [`Self::take`].
    unsafe fn keep(&mut self, source: *const u8, len: usize, to: Delivery) {
        let kept = &mut self.kept[self.kept_len..self.kept_len + len];
        // SAFETY: the source has the bytes and the target takes them; the slice is private.
        unsafe {
            xxh3::portable::copy_once(source, kept.as_mut_ptr(), len);
            if let Delivery::Store(target) | Delivery::Stream(target) = to {
                kept.as_ptr().copy_to_nonoverlapping(target, len);
            }
        }
        self.kept_len += len;
    }

    /// Takes the first of the kept bytes, a whole block, into the accumulators.
    fn take_kept_block(&mut self) {
        // SAFETY: a block is shorter than what is kept, and nothing is delivered.
        unsafe { take_blocks(&mut self.accumulators, self.kept.as_ptr(), 1, Delivery::None) };
        self.kept.copy_within(BLOCK..self.kept_len, 0);
        self.kept_len -= BLOCK;
    }

    /// The checksum of everything taken in so far.
    pub fn finish(&self) -> Checksum {
        let mut kept = &self.kept[..self.kept_len];
        // A short input has a form of its own, and one that is all here is summed at once.
        if self.len == self.kept_len as u64 {
            return Self::of(kept);
        }
        let mut accumulators = self.accumulators.clone();
        // The last block is never a whole one, even if it is as long as one.
        if let Some((block, rest)) =
            kept.split_at_checked(BLOCK).filter(|(_, rest)| !rest.is_empty())
        {
            // SAFETY: it is a whole block, and nothing is delivered.
            unsafe { take_blocks(&mut accumulators, block.as_ptr(), 1, Delivery::None) };
            kept = rest;
        }
        // All stripes but the last of them, whole or not.
        let before_last = &kept[..kept.len().saturating_sub(1)];
        take_stripes(&mut accumulators, before_last.as_chunks().0);
        // The last 64 bytes, whether they were taken in before or not.
        let all = &self.kept[..self.kept_len];
        accumulators.take_last(all.last_chunk().expect("a stripe is kept back of a long input"));
        Checksum::new(accumulators.merge(self.len))
    }
}

impl Delivery {
    fn after(self, len: usize) -> Self {
        match self {
            Self::None => Self::None,
            Self::Store(target) => Self::Store(target.wrapping_add(len)),
            Self::Stream(target) => Self::Stream(target.wrapping_add(len)),
        }
    }
}

/// Takes whole blocks in and delivers them, with the best instructions of this machine.
///
/// # Safety
///
/// That of [`Digest::take`] for as many bytes.
unsafe fn take_blocks(
    accumulators: &mut Accumulators,
    source: *const u8,
    blocks: usize,
    to: Delivery,
) {
    #[cfg(target_arch = "x86_64")]
    if Engine::Avx2.is_available() {
        // SAFETY: the caller's promise, and the instructions were found.
        unsafe {
            let taken = take_groups(accumulators, source, blocks, to);
            let (source, to) = (source.wrapping_add(taken * BLOCK), to.after(taken * BLOCK));
            let blocks = blocks - taken;
            match to {
                Delivery::None => xxh3::avx2::sum(source, blocks, accumulators),
                Delivery::Store(target) => xxh3::avx2::copy(source, target, blocks, accumulators),
                Delivery::Stream(to) => xxh3::avx2::stream(source, to, blocks, accumulators),
            }
        }
        return;
    }
    let target = match to {
        Delivery::None => None,
        Delivery::Store(target) | Delivery::Stream(target) => Some(target),
    };
    // SAFETY: the caller's promise is the same one.
    unsafe { xxh3::portable::blocks(source, target, blocks, accumulators) };
}

/// Takes in as many of the blocks as can be read from several pages in turn, and delivers them, where that is
/// faster. Returns how many those are.
///
/// # Safety
///
/// That of [`take_blocks`].
#[cfg(target_arch = "x86_64")]
unsafe fn take_groups(
    accumulators: &mut Accumulators,
    source: *const u8,
    blocks: usize,
    to: Delivery,
) -> usize {
    let groups = blocks / GROUP_BLOCKS;
    if groups == 0 || ReadAhead::best() != ReadAhead::Pages || !avx512::is_available() {
        return 0;
    }
    // SAFETY: the caller's promise, and the instructions were found.
    unsafe {
        match to {
            Delivery::None => avx512::sum(source, groups, accumulators),
            // Few bytes, which have their way into the caches.
            Delivery::Store(_) => return 0,
            Delivery::Stream(target) => avx512::stream(source, target, groups, accumulators),
        }
    }
    groups * GROUP_BLOCKS
}

/// Takes in the first stripes of a block that has more of them, with the best instructions of this
/// machine.
fn take_stripes(accumulators: &mut Accumulators, stripes: &[[u8; STRIPE]]) {
    #[cfg(target_arch = "x86_64")]
    if Engine::Avx2.is_available() {
        // SAFETY: the instructions were found.
        return unsafe { xxh3::avx2::sum_stripes(stripes, accumulators) };
    }
    for (number, stripe) in stripes.iter().enumerate() {
        accumulators.take(stripe, number);
    }
}

impl Default for Digest {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Digest").field(&self.finish()).finish()
    }
}

/// XXH3-64 of these bytes, as a number.
pub(crate) fn xxh3(bytes: &[u8]) -> u64 {
    XxHash3_64::oneshot(bytes)
}
#[cfg(test)]
mod tests {
    use super::*;

    /// An interpreter that checks every access gets less.
    const LONG: u32 = if cfg!(miri) { 5_000 } else { 100_000 };

    #[test]
    fn the_checksum_is_xxh3_64() {
        // The first is the reference implementation's value for no bytes.
        assert_eq!(Digest::of(b""), Checksum::new(0x2d06_8005_38d3_94c2));
        assert_eq!(Digest::new().finish(), Digest::of(b""));
        for len in [1, 16, 128, 240, 241, 4096, LONG + 1] {
            let bytes: Vec<u8> = (0..len).map(|i: u32| (i * 31 % 251) as u8).collect();
            let other_implementation = xxhash_rust::xxh3::xxh3_64(&bytes);
            assert_eq!(Digest::of(&bytes), Checksum::new(other_implementation), "len={len}");
        }
    }

    #[test]
    fn every_length_ends_as_it_has_to() {
        let bytes: Vec<u8> =
            (0..LONG).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let step = if cfg!(miri) { 97 } else { 1 };
        for len in (0..3 * KEPT_MAX).step_by(step) {
            let mut digest = Digest::new();
            digest.update(&bytes[..len]);
            let expected = xxhash_rust::xxh3::xxh3_64(&bytes[..len]);
            assert_eq!(digest.finish(), Checksum::new(expected), "len={len}");
        }
    }

    #[test]
    fn pieces_sum_up_to_the_whole() {
        let bytes: Vec<u8> =
            (0..LONG).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for piece in [1, 7, 63, 64, 4096, 65_537] {
            let mut digest = Digest::new();
            bytes.chunks(piece).for_each(|part| digest.update(part));
            assert_eq!(digest.finish(), Digest::of(&bytes), "pieces of {piece}");
        }
    }
}
