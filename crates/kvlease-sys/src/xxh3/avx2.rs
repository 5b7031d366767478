//! Blocks by vectors of 32 bytes: each is loaded once, taken into the sum, and handed on from the
//! register. The bytes that are summed are those that are delivered, even if the source changes
//! meanwhile.

use std::arch::x86_64::{
    __m256i, _MM_HINT_NTA, _MM_HINT_T0, _mm_prefetch, _mm256_add_epi64, _mm256_loadu_si256,
    _mm256_mul_epu32, _mm256_set1_epi64x, _mm256_setzero_si256, _mm256_shuffle_epi32,
    _mm256_slli_epi64, _mm256_srli_epi64, _mm256_storeu_si256, _mm256_stream_si256,
    _mm256_xor_si256,
};

use super::{
    Accumulators, BLOCK, PRIME32_1, SCRAMBLE_SECRET, SECRET, STRIPE,
    seam::{HALF, STREAM_ABOVE, STREAM_BELOW, STREAM_HALF, Seam, VECTOR, is_shifted},
};
use crate::copy::ReadAhead;

/// Distance, in bytes, of the prefetch ahead of the loads.
const AHEAD: usize = 1024;

/// Nothing is delivered.
const SUM: u8 = 0;
/// Ordinary stores to any address.
const STORE: u8 = 1;
/// Non-temporal stores to an address that is a multiple of a vector.
const STREAM: u8 = 2;

/// Takes in whole blocks.
///
/// # Safety
///
/// `source` must be readable for `blocks` blocks; it may be shared with other processes. The
/// processor must have the instructions.
#[target_feature(enable = "avx2")]
pub(crate) unsafe fn sum(source: *const u8, blocks: usize, accumulators: &mut Accumulators) {
    // SAFETY: the caller's promise is the same one; nothing is stored.
    unsafe { deliver::<SUM>(source, std::ptr::null_mut(), blocks, accumulators) };
}

/// Takes in the first stripes of a block that has more of them. They are private memory.
#[target_feature(enable = "avx2")]
pub(crate) fn sum_stripes(stripes: &[[u8; STRIPE]], accumulators: &mut Accumulators) {
    let sums: *mut __m256i = accumulators.0.as_mut_ptr().cast();
    // SAFETY: the accumulators are two vectors, as each stripe is.
    unsafe {
        let mut low = _mm256_loadu_si256(sums);
        let mut high = _mm256_loadu_si256(sums.add(1));
        for (number, stripe) in stripes.iter().enumerate() {
            let stripe: *const __m256i = stripe.as_ptr().cast();
            low = mix(low, _mm256_loadu_si256(stripe), secret(number * 8));
            high = mix(high, _mm256_loadu_si256(stripe.add(1)), secret(number * 8 + VECTOR));
        }
        _mm256_storeu_si256(sums, low);
        _mm256_storeu_si256(sums.add(1), high);
    }
}

/// Takes in whole blocks and copies them with ordinary stores.
///
/// # Safety
///
/// That of [`sum`]; `target` must be writable for as many bytes and not overlap the source.
#[target_feature(enable = "avx2")]
pub(crate) unsafe fn copy(
    source: *const u8,
    target: *mut u8,
    blocks: usize,
    accumulators: &mut Accumulators,
) {
    // SAFETY: the caller's promise is the same one.
    unsafe { deliver::<STORE>(source, target, blocks, accumulators) };
}

/// Takes in whole blocks and copies them with stores that go around the caches.
///
/// # Safety
///
/// That of [`copy`]; a fence must follow before another thread or process is notified of
/// the bytes.
#[target_feature(enable = "avx2")]
pub(crate) unsafe fn stream(
    source: *const u8,
    target: *mut u8,
    blocks: usize,
    accumulators: &mut Accumulators,
) {
    // SAFETY: the caller's promise, and each way is that of the target's alignment.
    unsafe {
        match target.addr() % VECTOR {
            0 => deliver::<STREAM>(source, target, blocks, accumulators),
            1..HALF => deliver::<STREAM_BELOW>(source, target, blocks, accumulators),
            HALF => deliver::<STREAM_HALF>(source, target, blocks, accumulators),
            _ => deliver::<STREAM_ABOVE>(source, target, blocks, accumulators),
        }
    }
}

/// # Safety
///
/// That of the callers; to stream, the way must be that of the target's alignment.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn deliver<const WAY: u8>(
    source: *const u8,
    target: *mut u8,
    blocks: usize,
    accumulators: &mut Accumulators,
) {
    // SAFETY: the caller's promise is the same one.
    unsafe {
        // Where the hint that leaves the caches to others costs more than it gains, the plain one gains.
        if ReadAhead::best() == ReadAhead::Hint {
            deliver_by::<WAY, _MM_HINT_NTA>(source, target, blocks, accumulators);
        } else {
            deliver_by::<WAY, _MM_HINT_T0>(source, target, blocks, accumulators);
        }
    }
}

/// # Safety
///
/// That of [`deliver`].
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn deliver_by<const WAY: u8, const HINT: i32>(
    mut source: *const u8,
    target: *mut u8,
    blocks: usize,
    accumulators: &mut Accumulators,
) {
    let sums: *mut __m256i = accumulators.0.as_mut_ptr().cast();
    let seam = Seam::new(target);
    let mut target = if is_shifted(WAY) { seam.aligned } else { target };
    // SAFETY: the accumulators are two vectors; the stripes of the blocks are within both regions;
    // the secret is as long as the last stripe and the scramble need; a prefetch may name any
    // address. Shifted vectors are stored behind the first of the target's, and before its last.
    unsafe {
        let mut low = _mm256_loadu_si256(sums);
        let mut high = _mm256_loadu_si256(sums.add(1));
        // The vector before the next one: a shifted store takes the end of one and the beginning of
        // the other.
        let mut before = _mm256_setzero_si256();
        for block in 0..blocks {
            // Each stripe: one load, handed to the destination and to the sum.
            for stripe in 0..BLOCK / STRIPE {
                _mm_prefetch::<HINT>(source.wrapping_add(AHEAD).cast());
                let first = load_once(source);
                let second = load_once(source.add(VECTOR));
                match WAY {
                    SUM => {}
                    STORE => {
                        _mm256_storeu_si256(target.cast(), first);
                        _mm256_storeu_si256(target.add(VECTOR).cast(), second);
                    }
                    STREAM => {
                        _mm256_stream_si256(target.cast(), first);
                        _mm256_stream_si256(target.add(VECTOR).cast(), second);
                    }
                    _ => {
                        match block + stripe {
                            0 => seam.begin(first),
                            _ => {
                                let joined = seam.join::<WAY>(before, first);
                                _mm256_stream_si256(target.cast(), joined);
                            }
                        }
                        let joined = seam.join::<WAY>(first, second);
                        _mm256_stream_si256(target.wrapping_add(VECTOR).cast(), joined);
                        before = second;
                    }
                }
                low = mix(low, first, secret(stripe * 8));
                high = mix(high, second, secret(stripe * 8 + VECTOR));
                source = source.add(STRIPE);
                target = target.wrapping_add(STRIPE);
            }
            // The end of a block.
            low = scramble(low, secret(SCRAMBLE_SECRET));
            high = scramble(high, secret(SCRAMBLE_SECRET + VECTOR));
        }
        if is_shifted(WAY) && blocks > 0 {
            seam.end(before, target);
        }
        _mm256_storeu_si256(sums, low);
        _mm256_storeu_si256(sums.add(1), high);
    }
}

/// Loads bytes that other processes may change. The compiler may repeat an ordinary load, and then
/// the bytes that are summed are not those that are delivered.
///
/// # Safety
///
/// `source` must be readable for a vector.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn load_once(source: *const u8) -> __m256i {
    #[repr(C, packed)]
    struct Unaligned(__m256i);
    // SAFETY: the caller's promise; the type has no alignment and any bytes are a value of it.
    let Unaligned(vector) = unsafe { source.cast::<Unaligned>().read_volatile() };
    vector
}

/// Takes in half a stripe, as [`Accumulators::take`] does, four lanes at a time.
#[target_feature(enable = "avx2")]
#[inline]
fn mix(sums: __m256i, data: __m256i, secret: __m256i) -> __m256i {
    let keyed = _mm256_xor_si256(data, secret);
    let product = _mm256_mul_epu32(keyed, _mm256_srli_epi64::<32>(keyed));
    // Each lane's neighbour gets the data itself.
    let swapped = _mm256_shuffle_epi32::<0b01_00_11_10>(data);
    _mm256_add_epi64(_mm256_add_epi64(sums, swapped), product)
}

/// Ends a block, as [`Accumulators::scramble`] does, four lanes at a time.
#[target_feature(enable = "avx2")]
#[inline]
fn scramble(sums: __m256i, secret: __m256i) -> __m256i {
    let prime = _mm256_set1_epi64x(PRIME32_1 as i64);
    let shifted = _mm256_xor_si256(sums, _mm256_srli_epi64::<47>(sums));
    let keyed = _mm256_xor_si256(shifted, secret);
    let low = _mm256_mul_epu32(keyed, prime);
    let high = _mm256_mul_epu32(_mm256_srli_epi64::<32>(keyed), prime);
    _mm256_add_epi64(low, _mm256_slli_epi64::<32>(high))
}

#[target_feature(enable = "avx2")]
#[inline]
fn secret(at: usize) -> __m256i {
    let bytes = &SECRET[at..at + VECTOR];
    // SAFETY: the slice is as long as a vector, and the load needs no alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}
