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

    /// Whether this machine's copies ask for their source ahead of the loads, looked up once.
    ///
    /// AMD's processors gain by it (a tenth and more on Zen 4 and 5). Intel's lose by it (a quarter on
    /// Sapphire Rapids): the hint that leaves the caches to others keeps their own prefetchers out.
    pub fn prefetches() -> bool {
        static PREFETCHES: OnceLock<bool> = OnceLock::new();
        *PREFETCHES.get_or_init(|| {
            #[cfg(all(target_arch = "x86_64", not(miri)))]
            let is_intel = {
                let vendor = std::arch::x86_64::__cpuid(0);
                [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes).concat()
                    == b"GenuineIntel"
            };
            #[cfg(any(not(target_arch = "x86_64"), miri))]
            let is_intel = false;
            !is_intel
        })
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
        // SAFETY: the caller's promise is the same one.
        unsafe { engine.stream(source, target, len, Self::prefetches()) };
    }

    /// Copies `len` bytes, however few, and asks for the source ahead of the loads or not.
    ///
    /// # Panics
    ///
    /// If this machine cannot stream with the engine.
    ///
    /// # Safety
    ///
    /// That of [`super::copy`].
    pub unsafe fn stream(self, source: *const u8, target: *mut u8, len: usize, prefetches: bool) {
        assert!(self.is_available(), "the engine is one that this machine has");
        match (self, prefetches) {
            // SAFETY: the caller promises readable, writable and disjoint regions.
            (Self::Plain, _) => unsafe { source.copy_to_nonoverlapping(target, len) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: likewise, the instructions were found above, and a fence follows.
            (Self::Avx2, true) => unsafe { super::avx2::stream::<true>(source, target, len) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: likewise.
            (Self::Avx2, false) => unsafe { super::avx2::stream::<false>(source, target, len) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: likewise.
            (Self::Avx512, true) => unsafe { super::avx512::stream::<true>(source, target, len) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: likewise.
            (Self::Avx512, false) => unsafe { super::avx512::stream::<false>(source, target, len) },
            #[cfg(not(target_arch = "x86_64"))]
            (Self::Avx2 | Self::Avx512, _) => unreachable!("no engine of another architecture"),
        }
        self.fence();
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
