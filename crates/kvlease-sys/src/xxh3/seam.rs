//! Vectors on their way to an address that is not a multiple of a vector.
//!
//! Non-temporal stores need an aligned target, so each of them takes the end of one vector and the
//! beginning of the next. Both are shifted in registers: nothing is loaded twice, and no store has to
//! be read back.

use std::arch::x86_64::{
    __m256i, _mm_loadu_si128, _mm256_broadcastsi128_si256, _mm256_or_si256,
    _mm256_permute2x128_si256, _mm256_shuffle_epi8, _mm256_storeu_si256,
};

pub(super) const VECTOR: usize = size_of::<__m256i>();
pub(super) const HALF: usize = VECTOR / 2;

/// Non-temporal stores to an address that is less than half a vector above a multiple of one, just
/// half, or more.
pub(super) const STREAM_BELOW: u8 = 3;
pub(super) const STREAM_HALF: u8 = 4;
pub(super) const STREAM_ABOVE: u8 = 5;

/// Whether the stores of this way are shifted.
pub(super) const fn is_shifted(way: u8) -> bool {
    matches!(way, STREAM_BELOW | STREAM_HALF | STREAM_ABOVE)
}

/// Where vectors meet in a target that is not aligned.
pub(super) struct Seam {
    /// The target, rounded down.
    pub(super) aligned: *mut u8,
    /// How far the target is above that: as many bytes of each vector go into the store after it.
    carried: usize,
    /// Positions in half a vector that the end of one half goes to, and the beginning of the next.
    ends: __m256i,
    beginnings: __m256i,
}

/// Position for bytes that a shuffle clears.
const CLEAR: u8 = 0x80;

/// Positions of the bytes of half a vector, between those of nothing.
const POSITIONS: [u8; 3 * HALF] = {
    let mut positions = [CLEAR; 3 * HALF];
    let mut position = 0;
    while position < HALF {
        positions[HALF + position] = position as u8;
        position += 1;
    }
    positions
};

impl Seam {
    #[target_feature(enable = "avx2")]
    #[inline]
    pub(super) fn new(target: *mut u8) -> Self {
        let carried = target.addr() % VECTOR;
        // Of two halves in a row, a store takes the bytes from this one on.
        let first = (VECTOR - carried) % HALF;
        let (ends, beginnings) = (positions(HALF + first), positions(first));
        Self { aligned: target.wrapping_sub(carried), carried, ends, beginnings }
    }

    /// Writes what is before the first aligned store.
    ///
    /// # Safety
    ///
    /// The target must be writable for a vector.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub(super) unsafe fn begin(&self, first: __m256i) {
        let bytes = bytes(first);
        let beginning = &bytes[..VECTOR - self.carried];
        let to = self.aligned.wrapping_add(self.carried);
        // SAFETY: the target begins there, and takes a vector.
        unsafe { beginning.as_ptr().copy_to_nonoverlapping(to, beginning.len()) };
    }

    /// The bytes of one store: the end of a vector and the beginning of the next.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub(super) fn join<const WAY: u8>(&self, before: __m256i, after: __m256i) -> __m256i {
        // The upper half of one and the lower half of the other.
        let middle = _mm256_permute2x128_si256::<0x21>(before, after);
        let (left, right) = match WAY {
            STREAM_HALF => return middle,
            STREAM_BELOW => (middle, after),
            _ => (before, middle),
        };
        let left = _mm256_shuffle_epi8(left, self.ends);
        _mm256_or_si256(left, _mm256_shuffle_epi8(right, self.beginnings))
    }

    /// Writes what is behind the last aligned store: the end of the last vector.
    ///
    /// # Safety
    ///
    /// `to` must be the end of the aligned stores, and the target reach as far as the vector does.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub(super) unsafe fn end(&self, last: __m256i, to: *mut u8) {
        let bytes = bytes(last);
        let end = &bytes[VECTOR - self.carried..];
        // SAFETY: the caller's promise is the same one.
        unsafe { end.as_ptr().copy_to_nonoverlapping(to, end.len()) };
    }
}

/// Positions from this one on, for both halves of a vector.
#[target_feature(enable = "avx2")]
#[inline]
fn positions(from: usize) -> __m256i {
    let positions = &POSITIONS[from..from + HALF];
    // SAFETY: the slice is as long as half a vector, and the load needs no alignment.
    _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(positions.as_ptr().cast()) })
}

#[target_feature(enable = "avx2")]
#[inline]
fn bytes(vector: __m256i) -> [u8; VECTOR] {
    let mut bytes = [0; VECTOR];
    // SAFETY: the array is as long as a vector, and the store needs no alignment.
    unsafe { _mm256_storeu_si256(bytes.as_mut_ptr().cast(), vector) };
    bytes
}

#[cfg(all(test, not(miri)))]
mod tests {
    use super::{
        super::{Accumulators, BLOCK, avx2},
        VECTOR,
    };

    const BLOCKS: usize = 3;
    const GUARD: u8 = 0xa5;

    #[test]
    fn blocks_arrive_whole_at_every_address_and_nowhere_else() {
        if !crate::copy::Engine::Avx2.is_available() {
            // The portable form has no alignments.
            return;
        }
        let source: Vec<u8> = (0..(BLOCKS * BLOCK) as u32)
            .map(|i| (i.wrapping_mul(0x9e37_79b1) >> 24) as u8)
            .collect();
        for (shift, blocks) in (0..2 * VECTOR).flat_map(|shift| [(shift, 1), (shift, BLOCKS)]) {
            let len = blocks * BLOCK;
            let mut memory = vec![GUARD; len + 4 * VECTOR];
            let start = memory.as_ptr().align_offset(2 * VECTOR) + shift;
            let (mut summed, mut streamed) = (Accumulators::new(), Accumulators::new());
            // SAFETY: source and target have that many blocks, and the instructions were found.
            unsafe {
                let target = memory[start..start + len].as_mut_ptr();
                avx2::sum(source.as_ptr(), blocks, &mut summed);
                avx2::stream(source.as_ptr(), target, blocks, &mut streamed);
            }
            assert_eq!(summed.0, streamed.0, "shift={shift} blocks={blocks}");
            assert!(memory[start..start + len] == source[..len], "shift={shift} blocks={blocks}");
            let mut outside = memory[..start].iter().chain(&memory[start + len..]);
            assert!(outside.all(|byte| *byte == GUARD), "shift={shift} blocks={blocks}");
        }
    }
}
