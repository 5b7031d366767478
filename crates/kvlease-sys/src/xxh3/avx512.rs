//! Blocks of several pages in turn, by vectors of 64 bytes.
//!
//! The accumulators take blocks in their order, so a block of each page is summed by itself, and its sum goes
//! into the accumulators once those of the pages before it are there.

use std::arch::x86_64::{
    __m512i, _mm512_add_epi64, _mm512_loadu_si512, _mm512_mul_epu32, _mm512_set1_epi64,
    _mm512_setzero_si512, _mm512_shuffle_epi32, _mm512_slli_epi64, _mm512_srli_epi64,
    _mm512_storeu_si512, _mm512_stream_si512, _mm512_xor_si512,
};

use super::{
    Accumulators, BLOCK, PRIME32_1, SCRAMBLE_SECRET, SECRET, STRIPE,
    wide_seam::{VECTOR, WideSeam},
};
use crate::copy::pages::{GROUP, PAGE, PAGES};

/// Blocks that are taken in together.
pub(crate) const GROUP_BLOCKS: usize = GROUP / BLOCK;

/// Blocks of a page.
const PAGE_BLOCKS: usize = PAGE / BLOCK;

/// Nothing is delivered.
const SUM: u8 = 0;
/// Non-temporal stores to an address that is a multiple of a vector.
const STREAM: u8 = 1;
/// The same to any other address.
const STREAM_SHIFTED: u8 = 2;

/// True if this machine can run it: it has vectors of 64 bytes that take bytes from any place of two others.
/// Processors with the first alone slow down under them.
pub(crate) fn is_available() -> bool {
    !cfg!(miri) && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vbmi")
}

/// Takes in whole groups of blocks.
///
/// # Safety
///
/// `source` must be readable for `groups` groups; it may be shared with other processes. The processor must
/// have the instructions.
#[target_feature(enable = "avx512f,avx512vbmi")]
pub(crate) unsafe fn sum(source: *const u8, groups: usize, accumulators: &mut Accumulators) {
    // SAFETY: the caller's promise is the same one; nothing is stored.
    unsafe { deliver::<SUM>(source, std::ptr::null_mut(), groups, accumulators) };
}

/// Takes in whole groups of blocks and copies them with stores that go around the caches.
///
/// # Safety
///
/// That of [`sum`]; `target` must be writable for as many bytes and not overlap the source; a fence must follow
/// before another thread or process is notified of the bytes.
#[target_feature(enable = "avx512f,avx512vbmi")]
pub(crate) unsafe fn stream(
    source: *const u8,
    target: *mut u8,
    groups: usize,
    accumulators: &mut Accumulators,
) {
    // SAFETY: the caller's promise, and each way is that of the target's alignment.
    unsafe {
        match target.addr() % VECTOR {
            0 => deliver::<STREAM>(source, target, groups, accumulators),
            _ => deliver::<STREAM_SHIFTED>(source, target, groups, accumulators),
        }
    }
}

/// # Safety
///
/// That of the callers; to stream, the way must be that of the target's alignment.
#[target_feature(enable = "avx512f,avx512vbmi")]
#[inline]
unsafe fn deliver<const WAY: u8>(
    source: *const u8,
    target: *mut u8,
    groups: usize,
    accumulators: &mut Accumulators,
) {
    let seam = WideSeam::new(target);
    // SAFETY: the accumulators are a vector, as each stripe is; the groups are within both regions. Shifted vectors
    // are stored behind the first of the target's, and before its last.
    unsafe {
        let mut sums = _mm512_loadu_si512(accumulators.0.as_ptr().cast());
        // The last vector of the group before.
        let mut last = _mm512_setzero_si512();
        for group in 0..groups {
            let mut blocks = [[_mm512_setzero_si512(); PAGES]; PAGE_BLOCKS];
            // The first vector of each page, and the one before the next of each.
            let mut first = [_mm512_setzero_si512(); PAGES];
            let mut before = first;
            for (number, block) in blocks.iter_mut().enumerate() {
                let mut taken = [_mm512_setzero_si512(); PAGES];
                for stripe in 0..BLOCK / STRIPE {
                    let at = group * GROUP + number * BLOCK + stripe * STRIPE;
                    let vectors = load_each(source.add(at));
                    match WAY {
                        SUM => {}
                        STREAM => stream_each(target.add(at), vectors),
                        _ if number + stripe > 0 => {
                            stream_each(seam.at(at), seam.join_each(before, vectors));
                        }
                        _ => {
                            first = vectors;
                            match group {
                                0 => seam.begin(vectors[0]),
                                _ => seam.stream(at, last, vectors[0]),
                            }
                        }
                    }
                    before = vectors;
                    let secret = secret(stripe * 8);
                    for (taken, vector) in taken.iter_mut().zip(vectors) {
                        *taken = mix(*taken, vector, secret);
                    }
                }
                *block = taken;
            }
            if WAY == STREAM_SHIFTED {
                for page in 1..PAGES {
                    seam.stream(group * GROUP + page * PAGE, before[page - 1], first[page]);
                }
                last = before[PAGES - 1];
            }
            for page in 0..PAGES {
                for block in &blocks {
                    sums = scramble(_mm512_add_epi64(sums, block[page]));
                }
            }
        }
        if WAY == STREAM_SHIFTED && groups > 0 {
            seam.end(last, groups * GROUP);
        }
        _mm512_storeu_si512(accumulators.0.as_mut_ptr().cast(), sums);
    }
}

/// Loads a vector of each page. Other processes may change the bytes: the compiler may repeat an ordinary load, and
/// then the bytes that are summed are not those that are delivered.
///
/// # Safety
///
/// `source` must be readable for a vector, and so must the same place of the pages behind it.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn load_each(source: *const u8) -> [__m512i; PAGES] {
    #[repr(C, packed)]
    struct Unaligned(__m512i);
    let mut vectors = [_mm512_setzero_si512(); PAGES];
    for (page, vector) in vectors.iter_mut().enumerate() {
        // SAFETY: the caller's promise; the type has no alignment and any bytes are a value of it.
        let Unaligned(loaded) =
            unsafe { source.add(page * PAGE).cast::<Unaligned>().read_volatile() };
        *vector = loaded;
    }
    vectors
}

/// # Safety
///
/// `target` must be a multiple of a vector and take one, and so must the same place of the pages behind it.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn stream_each(target: *mut u8, vectors: [__m512i; PAGES]) {
    for (page, vector) in vectors.into_iter().enumerate() {
        // SAFETY: the caller's promise is the same one.
        unsafe { _mm512_stream_si512(target.wrapping_add(page * PAGE).cast(), vector) };
    }
}

/// Takes in a stripe, as [`Accumulators::take`] does, all lanes at a time.
#[target_feature(enable = "avx512f")]
#[inline]
fn mix(sums: __m512i, data: __m512i, secret: __m512i) -> __m512i {
    let keyed = _mm512_xor_si512(data, secret);
    let product = _mm512_mul_epu32(keyed, _mm512_srli_epi64::<32>(keyed));
    // Each lane's neighbour gets the data itself.
    let swapped = _mm512_shuffle_epi32::<0b01_00_11_10>(data);
    _mm512_add_epi64(_mm512_add_epi64(sums, swapped), product)
}

/// Ends a block, as [`Accumulators::scramble`] does, all lanes at a time.
#[target_feature(enable = "avx512f")]
#[inline]
fn scramble(sums: __m512i) -> __m512i {
    let prime = _mm512_set1_epi64(PRIME32_1 as i64);
    let shifted = _mm512_xor_si512(sums, _mm512_srli_epi64::<47>(sums));
    let keyed = _mm512_xor_si512(shifted, secret(SCRAMBLE_SECRET));
    let low = _mm512_mul_epu32(keyed, prime);
    let high = _mm512_mul_epu32(_mm512_srli_epi64::<32>(keyed), prime);
    _mm512_add_epi64(low, _mm512_slli_epi64::<32>(high))
}

#[target_feature(enable = "avx512f")]
#[inline]
fn secret(at: usize) -> __m512i {
    let bytes = &SECRET[at..at + VECTOR];
    // SAFETY: the slice is as long as a vector, and the load needs no alignment.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;
    use crate::xxh3::portable;

    const GROUPS: usize = 3;
    const GUARD: u8 = 0xa5;

    #[test]
    fn groups_arrive_whole_at_every_address_and_nowhere_else() {
        if !is_available() {
            // Other processors have other forms.
            return;
        }
        let source: Vec<u8> = (0..(GROUPS * GROUP) as u32)
            .map(|i| (i.wrapping_mul(0x9e37_79b1) >> 24) as u8)
            .collect();
        for (shift, groups) in (0..=VECTOR).flat_map(|shift| [(shift, 1), (shift, GROUPS)]) {
            let len = groups * GROUP;
            let mut memory = vec![GUARD; len + 4 * VECTOR];
            let start = memory.as_ptr().align_offset(VECTOR) + shift;
            let (mut expected, mut summed) = (Accumulators::new(), Accumulators::new());
            let mut streamed = Accumulators::new();
            // SAFETY: source and target have that many groups, and the instructions were found.
            unsafe {
                let target = memory[start..start + len].as_mut_ptr();
                portable::blocks(source.as_ptr(), None, groups * GROUP_BLOCKS, &mut expected);
                sum(source.as_ptr(), groups, &mut summed);
                stream(source.as_ptr(), target, groups, &mut streamed);
            }
            assert_eq!(expected.0, summed.0, "shift={shift} groups={groups}");
            assert_eq!(expected.0, streamed.0, "shift={shift} groups={groups}");
            assert!(memory[start..start + len] == source[..len], "shift={shift} groups={groups}");
            let mut outside = memory[..start].iter().chain(&memory[start + len..]);
            assert!(outside.all(|byte| *byte == GUARD), "shift={shift} groups={groups}");
        }
    }
}
