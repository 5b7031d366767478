//! Copy and checksum in one pass over memory: see [`Digest`].

use super::{Engine, STREAM_MIN};
use crate::{Digest, digest::Delivery};

/// Smallest piece, in bytes, that is copied to shared memory with non-temporal stores, or to one of
/// several regions of a large copy. It is smaller than [`STREAM_MIN`], since the reader is another
/// process, or reads the piece after many others.
const STREAM_PIECE_MIN: usize = 4 << 10;

/// Copies bytes to shared memory and takes them into the digest.
///
/// # Safety
///
/// That of [`super::copy`].
pub unsafe fn copy_to_shared(source: *const u8, target: *mut u8, len: usize, digest: &mut Digest) {
    // SAFETY: the caller's promise is the same one.
    unsafe { copy_digested(source, target, len, digest, STREAM_PIECE_MIN) };
}

/// Copies shared bytes to private memory and takes the bytes that arrived into the digest. They are
/// one piece of `whole` bytes that are copied together.
///
/// # Safety
///
/// That of [`super::copy`].
pub unsafe fn copy_from_shared(
    source: *const u8,
    target: *mut u8,
    len: usize,
    whole: usize,
    digest: &mut Digest,
) {
    let stream_min = if whole < STREAM_MIN { STREAM_MIN } else { STREAM_PIECE_MIN };
    // SAFETY: the caller's promise is the same one.
    unsafe { copy_digested(source, target, len, digest, stream_min) };
}

/// As [`copy_from_shared`], to where the caller reads the bytes next, and so into the caches.
///
/// # Safety
///
/// That of [`super::copy`].
pub unsafe fn copy_into_caches(
    source: *const u8,
    target: *mut u8,
    len: usize,
    digest: &mut Digest,
) {
    // SAFETY: the caller's promise is the same one.
    unsafe { digest.take(source, len, Delivery::Store(target)) };
}

/// Takes shared bytes into the digest.
///
/// # Safety
///
/// `source` must be readable for `len` bytes.
pub unsafe fn digest_shared(source: *const u8, len: usize, digest: &mut Digest) {
    // SAFETY: the caller's promise is the same one.
    unsafe { digest.take(source, len, Delivery::None) };
}

/// # Safety
///
/// That of [`super::copy`].
unsafe fn copy_digested(
    source: *const u8,
    target: *mut u8,
    len: usize,
    digest: &mut Digest,
    stream_min: usize,
) {
    let to = if len < stream_min { Delivery::Store(target) } else { Delivery::Stream(target) };
    // SAFETY: the caller's promise, and a fence follows streamed bytes.
    unsafe { digest.take(source, len, to) };
    if let Delivery::Stream(_) = to {
        Engine::best().fence();
    }
}
