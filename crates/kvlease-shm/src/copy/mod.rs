//! The one way bytes get into and out of shared memory.
//!
//! Large copies use non-temporal stores: they skip the read of the destination that an ordinary
//! store begins with, and leave the caches to those who work on the data. Which instructions
//! are used is decided once per process. A checksum is taken on the way, of the register that is stored:
//! the copy waits for memory anyway.
//!
//! # Races
//!
//! Another process may write to shared bytes while they are copied: a client with a writable
//! mapping, or the daemon when a lease ran out under a slow reader. The copy then holds any mix of
//! old and new bytes. That is tolerated: the bytes are never parsed and never decide what the
//! program does next, no reference to them exists, and whoever needs to know whether they are
//! right compares the checksum of the *private copy* or the lease's deadline afterwards. Every byte
//! is loaded once, so that the bytes that were summed are the bytes that are delivered.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod engine;
mod fused;
#[cfg(target_arch = "x86_64")]
mod streaming;

pub use engine::{Engine, STREAM_MIN};
pub use fused::{copy_from_shared, copy_to_shared, digest_shared};

/// Copies `len` bytes with the best instructions of this machine.
///
/// # Safety
///
/// `source` must be readable and `target` writable for `len` bytes, and they must not overlap.
/// Either may be shared with other processes; what races mean is said in the module's text.
pub unsafe fn copy(source: *const u8, target: *mut u8, len: usize) {
    // SAFETY: the caller's promise is the same one.
    unsafe { Engine::best().copy(source, target, len) };
}
