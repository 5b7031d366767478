//! A file in the address space: the pointers, their bounds and their lifetime.

use std::{io, os::fd::BorrowedFd, ptr::NonNull};

use kvlease_types::Extent;
use rustix::{
    io::Errno,
    mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap},
};

/// What a mapping allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Access {
    Read,
    ReadWrite,
}

/// A shared mapping of a file's first `len` bytes, unmapped on drop.
///
/// It hands out raw pointers and never references: other processes write to the same bytes at any
/// time, which a reference promises they do not.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping is not tied to the thread that made it, and it lives until drop.
unsafe impl Send for Mapping {}
// SAFETY: through `&Mapping` one gets raw pointers and numbers only. Who follows the pointers
// answers for races, see the `copy` module.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `len` bytes of `file`; `len` must not be zero.
    pub(crate) fn new(file: BorrowedFd<'_>, len: usize, access: Access) -> io::Result<Self> {
        let protection = match access {
            Access::Read => ProtFlags::READ,
            Access::ReadWrite => ProtFlags::READ | ProtFlags::WRITE,
        };
        // SAFETY: without a wished address the kernel puts the mapping where nothing else is.
        let start =
            unsafe { mmap(std::ptr::null_mut(), len, protection, MapFlags::SHARED, file, 0)? };
        let start = NonNull::new(start.cast()).expect("the kernel maps nothing at address zero");
        Ok(Self { start, len })
    }

    /// Its length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The address of its first byte.
    pub(crate) fn start(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// Where an extent starts, or `None` if any byte of it is outside.
    pub(crate) fn locate(&self, extent: Extent) -> Option<*mut u8> {
        let end = usize::try_from(extent.end()?.bytes()).ok()?;
        if end > self.len {
            return None;
        }
        let offset = usize::try_from(extent.offset.bytes()).ok()?;
        // SAFETY: `offset <= end <= len`, so the result stays within the mapping or at its end.
        Some(unsafe { self.start.as_ptr().add(offset) })
    }

    /// Tells the kernel about a part of the mapping. Only advice that keeps the bytes is allowed.
    pub(crate) fn advise(&self, part: Extent, advice: Advice) -> Result<(), Errno> {
        debug_assert!(matches!(
            advice,
            Advice::LinuxHugepage | Advice::LinuxPopulateRead | Advice::LinuxPopulateWrite
        ));
        let start = self.locate(part).ok_or(Errno::FAULT)?;
        // A part that was located fits into the address space.
        let len = part.len.bytes() as usize;
        // SAFETY: the part is within the mapping, and the advice allowed here changes no byte.
        unsafe { madvise(start.cast(), len, advice) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: start and length are those of `mmap`, and nobody has a pointer any more: those
        // who take one keep the mapping alive meanwhile.
        let unmapped = unsafe { munmap(self.start.as_ptr().cast(), self.len) };
        debug_assert!(unmapped.is_ok(), "the whole mapping can be unmapped");
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use kvlease_types::{ByteSize, Offset};

    use super::*;

    #[test]
    fn no_pointer_leaves_the_mapping() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(8192).unwrap();
        let mapping = Mapping::new(file.as_fd(), 8192, Access::ReadWrite).unwrap();
        let locate = |at, len| mapping.locate(Extent::new(Offset::new(at), ByteSize::new(len)));
        assert_eq!(locate(0, 8192), Some(mapping.start()));
        assert_eq!(locate(8192, 0), Some(mapping.start().wrapping_add(8192)));
        for (at, len) in [(0, 8193), (8192, 1), (8193, 0), (u64::MAX, 1), (1, u64::MAX)] {
            assert_eq!(locate(at, len), None, "{at}+{len}");
        }
    }
}
