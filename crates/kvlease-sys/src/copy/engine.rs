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

/// Way to have bytes under way before they are loaded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReadAhead {
    /// The processor's own prefetchers alone.
    Plain,
    /// A hint ahead of each load, which leaves the caches to others.
    Hint,
    /// A line of each of several pages in turn.
    Pages,
}

impl ReadAhead {
    /// All ways.
    pub const ALL: [Self; 3] = [Self::Plain, Self::Hint, Self::Pages];

    /// The way of this machine, looked up once.
    ///
    /// AMD's processors gain by the hint (a tenth and more on Zen 4 and 5). Intel's lose by it (a quarter on
    /// Sapphire Rapids), since it keeps their own prefetchers out, and gain a quarter by pages.
    pub fn best() -> Self {
        static BEST: OnceLock<ReadAhead> = OnceLock::new();
        *BEST.get_or_init(|| {
            #[cfg(all(target_arch = "x86_64", not(miri)))]
            let is_intel = {
                let vendor = std::arch::x86_64::__cpuid(0);
                [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes).concat()
                    == b"GenuineIntel"
            };
            #[cfg(any(not(target_arch = "x86_64"), miri))]
            let is_intel = false;
            if is_intel { Self::Pages } else { Self::Hint }
        })
    }
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
        // SAFETY: the caller's promise is the same one.
        unsafe { engine.stream(source, target, len, ReadAhead::best()) };
    }

    /// Copies `len` bytes, however few, with this way to have them under way.
    ///
    /// # Panics
    ///
    /// If this machine cannot stream with the engine.
    ///
    /// # Safety
    ///
    /// That of [`super::copy`].
    pub unsafe fn stream(
        self,
        source: *const u8,
        target: *mut u8,
        len: usize,
        read_ahead: ReadAhead,
    ) {
        assert!(self.is_available(), "the engine is one that this machine has");
        #[cfg(target_arch = "x86_64")]
        use super::{avx2, avx512};
        // SAFETY: the caller promises readable, writable and disjoint regions; the instructions were found
        // above, and a fence follows.
        unsafe {
            match (self, read_ahead) {
                (Self::Plain, _) => source.copy_to_nonoverlapping(target, len),
                #[cfg(target_arch = "x86_64")]
                (Self::Avx2, ReadAhead::Plain) => avx2::stream::<false>(source, target, len),
                #[cfg(target_arch = "x86_64")]
                (Self::Avx2, ReadAhead::Hint) => avx2::stream::<true>(source, target, len),
                #[cfg(target_arch = "x86_64")]
                (Self::Avx2, ReadAhead::Pages) => avx2::stream_pages(source, target, len),
                #[cfg(target_arch = "x86_64")]
                (Self::Avx512, ReadAhead::Plain) => avx512::stream::<false>(source, target, len),
                #[cfg(target_arch = "x86_64")]
                (Self::Avx512, ReadAhead::Hint) => avx512::stream::<true>(source, target, len),
                #[cfg(target_arch = "x86_64")]
                (Self::Avx512, ReadAhead::Pages) => avx512::stream_pages(source, target, len),
                #[cfg(not(target_arch = "x86_64"))]
                (Self::Avx2 | Self::Avx512, _) => {
                    unreachable!("no engine of another architecture")
                }
            }
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
