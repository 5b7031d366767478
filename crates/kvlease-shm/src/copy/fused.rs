//! Copy and checksum in one pass over memory.

use std::mem::MaybeUninit;

use super::Engine;
use crate::Digest;

/// Bytes of a private source that are summed and copied at a time: half of a first-level cache.
pub const TILE: usize = 16 << 10;

/// Bytes of a shared source at a time: they are in that cache twice.
const PRIVATE_TILE: usize = 8 << 10;

/// Pieces for shared memory below this many bytes are copied plainly. The mark is lower than
/// [`STREAM_MIN`](super::STREAM_MIN), since whoever reads them is another process.
const STREAM_TO_SHARED_MIN: usize = 4 << 10;

/// Copies private bytes to shared memory and takes them into the digest.
///
/// # Safety
///
/// That of [`super::copy`]; no other thread may write to the source meanwhile.
pub unsafe fn copy_to_shared(source: *const u8, target: *mut u8, len: usize, digest: &mut Digest) {
    let engine = Engine::for_len(len, STREAM_TO_SHARED_MIN);
    for start in (0..len).step_by(TILE) {
        let tile = TILE.min(len - start);
        // SAFETY: the tile is within both regions, which the caller vouches for.
        unsafe {
            digest.update(std::slice::from_raw_parts(source.add(start), tile));
            engine.stream(source.add(start), target.add(start), tile);
        }
    }
    engine.fence();
}

/// Copies shared bytes to private memory and takes those that arrived into the digest.
///
/// The bytes are summed where they arrived, tile by tile while they are in the cache: stores that
/// go around it would have to be read back from memory.
///
/// # Safety
///
/// That of [`super::copy`]; no other thread may use the target meanwhile.
pub unsafe fn copy_from_shared(
    source: *const u8,
    target: *mut u8,
    len: usize,
    digest: &mut Digest,
) {
    let engine = Engine::best();
    for start in (0..len).step_by(PRIVATE_TILE) {
        let tile = PRIVATE_TILE.min(len - start);
        // SAFETY: the tile is within both regions, which the caller vouches for, and was written
        // before it becomes a slice.
        unsafe {
            engine.gather(source.add(start), target.add(start), tile);
            digest.update(std::slice::from_raw_parts(target.add(start), tile));
        }
    }
}

/// Takes shared bytes into the digest.
///
/// # Safety
///
/// `source` must be readable for `len` bytes.
pub unsafe fn digest_shared(source: *const u8, len: usize, digest: &mut Digest) {
    // SAFETY: the caller's promise is the same one.
    unsafe { in_private_tiles(source, len, |tile| digest.update(tile)) };
}

/// Hands out shared bytes in private copies: what is seen in one no longer changes.
///
/// # Safety
///
/// `source` must be readable for `len` bytes.
unsafe fn in_private_tiles(source: *const u8, len: usize, mut each: impl FnMut(&[u8])) {
    let mut private = [MaybeUninit::<u8>::uninit(); PRIVATE_TILE];
    let private: *mut u8 = private.as_mut_ptr().cast();
    let engine = Engine::best();
    for start in (0..len).step_by(PRIVATE_TILE) {
        let tile = PRIVATE_TILE.min(len - start);
        // SAFETY: the tile is within the source, and no longer than the private buffer, of which
        // exactly the copied part becomes a slice.
        unsafe {
            engine.gather(source.add(start), private, tile);
            each(std::slice::from_raw_parts(private, tile));
        }
    }
}
