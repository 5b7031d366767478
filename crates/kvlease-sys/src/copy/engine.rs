//! Choice of the instruction set.

use std::sync::OnceLock;

/// Smallest copy, in bytes, with non-temporal stores. The destination of a smaller one stays in the
/// cache, where it is about to be read.
pub const STREAM_MIN: usize = 64 << 10;

/// Instruction set to copy with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Engine {
    /// The platform's `memcpy`.
    Plain,
    /// 32-byte non-temporal stores.
    Avx2,
    /// 64-byte non-temporal stores.
    Avx512,
}

impl Engine {
    /// All engines, the better ones last.
    pub const ALL: [Self; 3] = [Self::Plain, Self::Avx2, Self::Avx512];

    /// The best engine of this machine, looked up once.
    pub fn best() -> Self {
        static BEST: OnceLock<Engine> = OnceLock::new();
        *BEST.get_or_init(|| {
            Self::ALL.into_iter().rfind(|engine| engine.is_available()).unwrap_or(Self::Plain)
        })
    }

    /// True if this machine can run it.
    pub fn is_available(self) -> bool {
        match self {
            Self::Plain => true,
            #[cfg(all(target_arch = "x86_64", not(miri)))]
            Self::Avx2 => is_x86_feature_detected!("avx2"),
            #[cfg(all(target_arch = "x86_64", not(miri)))]
            Self::Avx512 => is_x86_feature_detected!("avx512f"),
            #[cfg(any(not(target_arch = "x86_64"), miri))]
            Self::Avx2 | Self::Avx512 => false,
        }
    }

    /// Copies `len` bytes; below [`STREAM_MIN`] every engine copies plainly.
    ///
    /// # Panics
    ///
    /// If this machine cannot stream with the engine.
    ///
    /// # Safety
    ///
    /// That of [`super::copy`].
    pub unsafe fn copy(self, source: *const u8, target: *mut u8, len: usize) {
        let engine = if len < STREAM_MIN { Self::Plain } else { self };
        // SAFETY: the caller's promise; and the fence that streaming needs follows.
        unsafe { engine.stream(source, target, len) };
        engine.fence();
    }

    /// Copies `len` bytes without the threshold and without the fence, for callers that copy in
    /// tiles.
    ///
    /// # Safety
    ///
    /// That of [`super::copy`], and [`Self::fence`] must follow before another thread or process is
    /// notified of the bytes.
    pub(super) unsafe fn stream(self, source: *const u8, target: *mut u8, len: usize) {
        assert!(self.is_available(), "the engine is one that this machine has");
        match self {
            // SAFETY: the caller promises readable, writable and disjoint regions.
            Self::Plain => unsafe { source.copy_to_nonoverlapping(target, len) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: likewise, and the instructions were found above.
            Self::Avx2 => unsafe { super::avx2::stream(source, target, len) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: likewise, and the instructions were found above.
            Self::Avx512 => unsafe { super::avx512::stream(source, target, len) },
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Avx512 => unreachable!("no engine of another architecture"),
        }
    }

    /// Orders streamed bytes before everything that this thread does next.
    pub(super) fn fence(self) {
        #[cfg(target_arch = "x86_64")]
        if self != Self::Plain {
            // SAFETY: every x86-64 has the instruction, and it touches no memory.
            unsafe { std::arch::x86_64::_mm_sfence() };
        }
    }
}
