//! Vectors of 64 bytes on their way to an address that is not a multiple of one.
//!
//! As with [`super::seam`], each store takes the end of one vector and the beginning of the next. One instruction
//! takes bytes from any place of two vectors.

use std::arch::x86_64::{
    __m512i, _mm512_loadu_si512, _mm512_permutex2var_epi8, _mm512_setzero_si512,
    _mm512_storeu_si512, _mm512_stream_si512,
};

use crate::copy::pages::PAGES;

pub(super) const VECTOR: usize = size_of::<__m512i>();

/// Where vectors meet in a target that is not aligned.
pub(super) struct WideSeam {
    /// The target, rounded down.
    aligned: *mut u8,
    /// How far the target is above that: as many bytes of each vector go into the store after it.
    carried: usize,
    /// Positions in two vectors in a row that a store takes.
    positions: __m512i,
}

/// The positions of two vectors in a row.
const POSITIONS: [u8; 2 * VECTOR] = {
    let mut positions = [0; 2 * VECTOR];
    let mut position = 0;
    while position < positions.len() {
        positions[position] = position as u8;
        position += 1;
    }
    positions
};

impl WideSeam {
    #[target_feature(enable = "avx512f")]
    #[inline]
    pub(super) fn new(target: *mut u8) -> Self {
        let carried = target.addr() % VECTOR;
        let positions = &POSITIONS[VECTOR - carried..][..VECTOR];
        // SAFETY: the slice is as long as a vector, and the load needs no alignment.
        let positions = unsafe { _mm512_loadu_si512(positions.as_ptr().cast()) };
        Self { aligned: target.wrapping_sub(carried), carried, positions }
    }

    /// Place of the store that the vector at this place of the source begins in.
    pub(super) fn at(&self, place: usize) -> *mut u8 {
        self.aligned.wrapping_add(place)
    }

    /// Writes what is before the first aligned store.
    ///
    /// # Safety
    ///
    /// The target must be writable for a vector.
    #[target_feature(enable = "avx512f")]
    #[inline]
    pub(super) unsafe fn begin(&self, first: __m512i) {
        let bytes = bytes(first);
        let beginning = &bytes[..VECTOR - self.carried];
        // SAFETY: the target begins there, and takes a vector.
        unsafe {
            beginning.as_ptr().copy_to_nonoverlapping(self.at(self.carried), beginning.len());
        }
    }

    /// The bytes of one store for each page: the end of a vector and the beginning of the next.
    #[target_feature(enable = "avx512f,avx512vbmi")]
    #[inline]
    pub(super) fn join_each(
        &self,
        before: [__m512i; PAGES],
        after: [__m512i; PAGES],
    ) -> [__m512i; PAGES] {
        let mut joined = [_mm512_setzero_si512(); PAGES];
        for (joined, (before, after)) in joined.iter_mut().zip(before.into_iter().zip(after)) {
            *joined = _mm512_permutex2var_epi8(before, self.positions, after);
        }
        joined
    }

    /// Stores the end of a vector and the beginning of the next one, which is at this place of the source.
    ///
    /// # Safety
    ///
    /// The target must have both vectors.
    #[target_feature(enable = "avx512f,avx512vbmi")]
    #[inline]
    pub(super) unsafe fn stream(&self, place: usize, before: __m512i, after: __m512i) {
        let joined = _mm512_permutex2var_epi8(before, self.positions, after);
        // SAFETY: the caller's promise; the address is a multiple of a vector.
        unsafe { _mm512_stream_si512(self.at(place).cast(), joined) };
    }

    /// Writes what is behind the last aligned store: the end of the last vector.
    ///
    /// # Safety
    ///
    /// `place` must be the length of the source, and the target as long.
    #[target_feature(enable = "avx512f")]
    #[inline]
    pub(super) unsafe fn end(&self, last: __m512i, place: usize) {
        let bytes = bytes(last);
        let end = &bytes[VECTOR - self.carried..];
        // SAFETY: the caller's promise is the same one.
        unsafe { end.as_ptr().copy_to_nonoverlapping(self.at(place), end.len()) };
    }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn bytes(vector: __m512i) -> [u8; VECTOR] {
    let mut bytes = [0; VECTOR];
    // SAFETY: the array is as long as a vector, and the store needs no alignment.
    unsafe { _mm512_storeu_si512(bytes.as_mut_ptr().cast(), vector) };
    bytes
}
