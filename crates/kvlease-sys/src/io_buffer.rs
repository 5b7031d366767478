//! Private memory that direct I/O reads into and writes from.

use std::{
    fmt, io,
    ops::{Deref, DerefMut},
    ptr::NonNull,
    slice,
    sync::Arc,
};

use rustix::mm::{self, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

use crate::PAGE;

/// Size of a huge page, in bytes. Memory that starts at a multiple of it can be one.
const HUGE_PAGE: usize = 2 << 20;

/// Anonymous memory, unmapped on drop.
pub(crate) struct Region {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the memory is not tied to the thread that mapped it, and it lives until drop.
unsafe impl Send for Region {}
// SAFETY: `&Region` gives addresses only. Each byte is accessed through the one buffer that has it.
unsafe impl Sync for Region {}

impl Region {
    /// Maps memory of huge pages where the kernel has them, zeroed.
    fn new(len: usize) -> io::Result<Self> {
        let len = len.next_multiple_of(HUGE_PAGE);
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: without a requested address the kernel chooses one where nothing else is mapped.
        // Such a mapping of whole huge pages starts at one since Linux 6.7, and before at a page.
        let start =
            unsafe { mmap_anonymous(std::ptr::null_mut(), len, protection, MapFlags::PRIVATE)? };
        let start = NonNull::new(start.cast()).expect("the kernel maps nothing at address zero");
        let region = Self { start, len };
        // SAFETY: the advice changes no byte, and the range is the mapping. Without huge pages the
        // memory works as well, so the answer is not looked at.
        let _ = unsafe { madvise(start.as_ptr().cast(), len, mm::Advice::LinuxHugepage) };
        Ok(region)
    }

    /// Address of the first byte.
    pub(crate) fn start(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the mapping is this region's own, and no buffer of it is left: each holds it.
        let unmapped = unsafe { munmap(self.start.as_ptr().cast(), self.len) };
        debug_assert!(unmapped.is_ok(), "a mapping of our own: {unmapped:?}");
    }
}

/// Buffer whose start and length are multiples of [`PAGE`], as direct I/O requires.
pub struct IoBuffer {
    region: Arc<Region>,
    offset: usize,
    len: usize,
}

impl IoBuffer {
    /// Allocates `count` buffers of the same length, rounded up to whole pages, side by side on
    /// huge pages where the kernel has them.
    ///
    /// # Errors
    ///
    /// The kernel's error: no memory.
    pub fn allocate(count: usize, len: usize) -> io::Result<Vec<Self>> {
        let len = len.max(1).next_multiple_of(PAGE as usize);
        let region = Arc::new(Region::new(count.max(1) * len)?);
        let buffer = |number| Self { region: Arc::clone(&region), offset: number * len, len };
        Ok((0..count).map(buffer).collect())
    }

    /// Allocates one buffer.
    ///
    /// # Errors
    ///
    /// Those of [`Self::allocate`].
    pub fn new(len: usize) -> io::Result<Self> {
        Ok(Self::allocate(1, len)?.pop().expect("one was asked for"))
    }

    pub(crate) fn region(&self) -> &Arc<Region> {
        &self.region
    }

    /// Address of the first byte.
    pub(crate) fn address(&self) -> *mut u8 {
        self.region.start().wrapping_add(self.offset)
    }
}

impl Deref for IoBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the range is within the region, which this buffer keeps mapped, initialised by
        // the kernel, and no other buffer's.
        unsafe { slice::from_raw_parts(self.address(), self.len) }
    }
}

impl DerefMut for IoBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`, and the buffer is borrowed exclusively.
        unsafe { slice::from_raw_parts_mut(self.address(), self.len) }
    }
}

impl fmt::Debug for IoBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IoBuffer").field("len", &self.len).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_pages_of_their_own() {
        let mut buffers = IoBuffer::allocate(3, PAGE as usize + 1).unwrap();
        for (number, buffer) in (1..).zip(&mut buffers) {
            assert_eq!(buffer.len(), 2 * PAGE as usize);
            assert_eq!(buffer.address().addr() % PAGE as usize, 0);
            assert!(buffer.iter().all(|byte| *byte == 0));
            buffer.fill(number);
        }
        for (number, buffer) in (1..).zip(&buffers) {
            assert!(buffer.iter().all(|byte| *byte == number), "buffer {number}");
        }
    }
}
