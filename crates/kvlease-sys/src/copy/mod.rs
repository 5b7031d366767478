//! The one way of bytes into and out of shared memory.
//!
//! Large copies use non-temporal stores: they skip the read of the destination that an ordinary
//! store begins with, and leave the caches to other data. The instruction set is chosen once per
//! process. A checksum is taken on the way, of the register that is stored: the copy waits for
//! memory anyway.
//!
//! # Races
//!
//! Another process may write to shared bytes while they are copied: a client with a writable
//! mapping, or the daemon when a lease expired under a slow reader. The copy then has any mix of old
//! and new bytes. That is tolerated: the bytes are never parsed and never decide the control flow,
//! no reference to them exists, and a caller that needs intact bytes compares the checksum of the
//! *private copy*, or the lease's deadline, afterwards. Every byte is loaded once, so the bytes that
//! were summed are the bytes that are delivered.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod engine;
mod fused;
#[cfg(target_arch = "x86_64")]
pub(crate) mod pages;
#[cfg(target_arch = "x86_64")]
mod streaming;

pub use engine::{Engine, ReadAhead, STREAM_MIN};
pub use fused::{copy_from_shared, copy_into_caches, copy_to_shared, digest_shared};

/// Copies `len` bytes with the best instructions of this machine.
///
/// # Safety
///
/// `source` must be readable and `target` writable for `len` bytes, and they must not overlap.
/// Either may be shared with other processes; the module's text says what races mean.
pub unsafe fn copy(source: *const u8, target: *mut u8, len: usize) {
    // SAFETY: the caller's promise is the same one.
    unsafe { Engine::best().copy(source, target, len) };
}
