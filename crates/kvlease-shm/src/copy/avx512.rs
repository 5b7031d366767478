//! Streaming with 64-byte stores.

use std::arch::x86_64::{
    __m512i, _MM_HINT_NTA, _mm_prefetch, _mm512_loadu_si512, _mm512_stream_si512,
};

const VECTOR: usize = size_of::<__m512i>();
/// Bytes per round of the loop: four cache lines.
const ROUND: usize = 4 * VECTOR;
const LINE: usize = 64;
/// How far ahead of the loads the source is fetched.
const AHEAD: usize = 1024;

/// Copies with non-temporal stores, plainly up to the first aligned store and after the last one.
///
/// # Safety
///
/// That of [`super::copy`]; the processor must have AVX-512; a fence must follow.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn stream(source: *const u8, target: *mut u8, len: usize) {
    let head = target.align_offset(VECTOR).min(len);
    // SAFETY: `head <= len`.
    unsafe { source.copy_to_nonoverlapping(target, head) };
    let rounds = (len - head) / ROUND;
    let mut done = head;
    for _ in 0..rounds {
        // SAFETY: `rounds` rounds fit between `head` and `len`; the target is aligned after the
        // head and stays so; a prefetch may name any address.
        unsafe {
            let (from, to) = (source.add(done), target.add(done));
            for line in (0..ROUND).step_by(LINE) {
                _mm_prefetch::<_MM_HINT_NTA>(from.wrapping_add(AHEAD + line).cast());
            }
            let a = _mm512_loadu_si512(from.cast());
            let b = _mm512_loadu_si512(from.add(VECTOR).cast());
            let c = _mm512_loadu_si512(from.add(2 * VECTOR).cast());
            let d = _mm512_loadu_si512(from.add(3 * VECTOR).cast());
            _mm512_stream_si512(to.cast(), a);
            _mm512_stream_si512(to.add(VECTOR).cast(), b);
            _mm512_stream_si512(to.add(2 * VECTOR).cast(), c);
            _mm512_stream_si512(to.add(3 * VECTOR).cast(), d);
        }
        done += ROUND;
    }
    // SAFETY: `done <= len`.
    unsafe { source.add(done).copy_to_nonoverlapping(target.add(done), len - done) };
}
