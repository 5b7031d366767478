//! Mapping of a file: its addresses, bounds and lifetime, and the safe ways to its bytes.

use std::{
    hint::black_box,
    io,
    os::fd::BorrowedFd,
    ptr::NonNull,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
};

use kvlease_types::{ByteSize, Extent, Offset};
use rustix::{
    io::Errno,
    mm::{self, MapFlags, ProtFlags, madvise, mmap, munmap},
};

use crate::{
    Access, Digest, copy,
    guard::Guard,
    words::{CELL_WORDS, Cell, Word},
};

/// Size of a memory page, in bytes: the unit of an arena's size.
pub const PAGE: u64 = 4096;

/// Advice to the kernel about a part of a mapping. None of it changes a byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Advice {
    /// Prefer huge pages.
    HugePages,
    /// Map the pages now, for reading.
    PopulateRead,
    /// Map the pages now, for writing, and allocate the missing ones.
    PopulateWrite,
}

/// Shared mapping of a file's first bytes, unmapped on drop.
///
/// Its methods copy bytes in and out, sum them, and access single words atomically. It never forms
/// a reference to plain bytes: other processes write to them at any time, which a reference
/// promises they do not. What a racing copy means is said in the [`copy`] module.
///
/// Every method checks its bounds. If another process truncates the file, an access to the lost part
/// ends this process with `SIGBUS`, unless the mapping is [guarded](Self::guarded).
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<u8>,
    len: usize,
    access: Access,
    guard: Option<Guard>,
}

// SAFETY: the mapping is not tied to the thread that made it, and it lives until drop.
unsafe impl Send for Mapping {}
// SAFETY: `&Mapping` gives no reference to plain bytes. Racing copies are tolerated, see the
// `copy` module; words are accessed atomically.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `len` bytes of `file`.
    ///
    /// # Errors
    ///
    /// The kernel's error, for example when `len` is zero or the file was not opened for `access`.
    pub fn new(file: BorrowedFd<'_>, len: usize, access: Access) -> io::Result<Self> {
        let protection = match access {
            Access::Read => ProtFlags::READ,
            Access::ReadWrite => ProtFlags::READ | ProtFlags::WRITE,
        };
        // SAFETY: without a requested address the kernel chooses one where nothing else is mapped.
        let start =
            unsafe { mmap(std::ptr::null_mut(), len, protection, MapFlags::SHARED, file, 0)? };
        let start = NonNull::new(start.cast()).expect("the kernel maps nothing at address zero");
        Ok(Self { start, len, access, guard: None })
    }

    /// Maps the first `len` bytes of `file` so that a truncation of the file does not end the process:
    /// the mapping is [lost](Self::is_lost) then, and its bytes are of no use. A few hundred mappings
    /// can be guarded at the same time.
    ///
    /// # Errors
    ///
    /// Those of [`Self::new`].
    pub fn guarded(file: BorrowedFd<'_>, len: usize, access: Access) -> io::Result<Self> {
        let mut mapping = Self::new(file, len, access)?;
        mapping.guard = Guard::new(mapping.address(), len, access);
        Ok(mapping)
    }

    /// Whether a guarded mapping lost its file's pages. Bytes that were copied before this call
    /// returned `false` were the file's.
    pub fn is_lost(&self) -> bool {
        self.guard.as_ref().is_some_and(Guard::is_lost)
    }

    /// Length in bytes.
    pub fn size(&self) -> ByteSize {
        ByteSize::new(self.len as u64)
    }

    /// Address of the first byte, as the kernel lists it under `/proc/self`.
    pub fn address(&self) -> usize {
        self.start.as_ptr().addr()
    }

    /// True if every byte of the extent is mapped.
    pub fn contains(&self, extent: Extent) -> bool {
        self.find(extent).is_some()
    }

    /// Address of an extent's first byte, or `None` if any byte of it is outside.
    ///
    /// The bytes may change at any time: see the [`copy`] module before following the pointer.
    pub fn locate(&self, extent: Extent) -> Option<*const u8> {
        self.find(extent).map(<*mut u8>::cast_const)
    }

    /// Copies `bytes` to offset `at`, and takes them into `digest` on the way, if there is one.
    ///
    /// # Panics
    ///
    /// If a byte would land outside, or the mapping is read-only.
    pub fn copy_in(&self, at: Offset, bytes: &[u8], digest: Option<&mut Digest>) {
        self.assert_writable();
        let target = self.place(Extent::new(at, ByteSize::new(bytes.len() as u64)));
        let (source, len) = (bytes.as_ptr(), bytes.len());
        match digest {
            // SAFETY: the source is a slice; the target has as many bytes in a writable mapping,
            // which no slice of this process ever covers.
            None => unsafe { copy::copy(source, target, len) },
            // SAFETY: likewise.
            Some(digest) => unsafe { copy::copy_to_shared(source, target, len, digest) },
        }
    }

    /// Copies an extent into `into`, and takes the bytes that arrived into `digest`, if there is
    /// one.
    ///
    /// # Panics
    ///
    /// If the extent is outside or its length is not that of `into`.
    pub fn copy_out(&self, extent: Extent, into: &mut [u8], digest: Option<&mut Digest>) {
        let whole = into.len();
        self.copy_out_piece(extent, into, whole, digest);
    }

    /// As [`Self::copy_out`], for a piece of `whole` bytes that are copied together: the pieces of a
    /// large copy go around the caches, as it would.
    ///
    /// # Panics
    ///
    /// As [`Self::copy_out`].
    pub fn copy_out_piece(
        &self,
        extent: Extent,
        into: &mut [u8],
        whole: usize,
        digest: Option<&mut Digest>,
    ) {
        let source = self.place(extent);
        assert_eq!(extent.len.bytes(), into.len() as u64, "an extent and a buffer of its length");
        let (target, len) = (into.as_mut_ptr(), into.len());
        match digest {
            // SAFETY: the source has as many mapped bytes as `into`, which is private memory.
            None => unsafe { copy::copy(source, target, len) },
            // SAFETY: likewise.
            Some(digest) => unsafe { copy::copy_from_shared(source, target, len, whole, digest) },
        }
    }

    /// Appends an extent to `into`, and takes the bytes that arrived into `digest`. The caller reads them
    /// next: they go into the caches, however many they are.
    ///
    /// # Panics
    ///
    /// If the extent is outside.
    pub fn append_cached(&self, extent: Extent, into: &mut Vec<u8>, digest: &mut Digest) {
        let source = self.place(extent);
        // The extent is mapped, so its length fits into the address space.
        let len = extent.len.bytes() as usize;
        into.reserve(len);
        let target = into.spare_capacity_mut().as_mut_ptr().cast();
        // SAFETY: the source has as many mapped bytes as were reserved behind the private memory of
        // `into`.
        unsafe { copy::copy_into_caches(source, target, len, digest) };
        // SAFETY: the capacity was reserved, and the copy has written all of these bytes.
        unsafe { into.set_len(into.len() + len) };
    }

    /// Takes the bytes of an extent into `digest` without copying them.
    ///
    /// # Panics
    ///
    /// If the extent is outside.
    pub fn digest(&self, extent: Extent, digest: &mut Digest) {
        let source = self.place(extent);
        // SAFETY: the extent is mapped, so its length fits into the address space.
        unsafe { copy::digest_shared(source, extent.len.bytes() as usize, digest) };
    }

    /// The word of 8 bytes at offset `at`.
    ///
    /// # Panics
    ///
    /// If it is outside, or `at` is not a multiple of 8.
    pub fn word(&self, at: Offset) -> Word<'_> {
        assert!(at.bytes().is_multiple_of(Word::LEN), "words are aligned, at=`{at}`");
        let place = self.place(Extent::new(at, ByteSize::new(Word::LEN)));
        // SAFETY: the word is inside a mapping that lives as long as `self`. It is aligned, since
        // the mapping begins at a page. `Word` accesses it atomically, and refuses to write to it
        // if the mapping is read-only.
        Word::new(unsafe { AtomicU64::from_ptr(place.cast()) }, self.access)
    }

    /// The cell at offset `at`.
    ///
    /// # Panics
    ///
    /// If it is outside, or `at` is not a multiple of its length.
    pub fn cell(&self, at: Offset) -> Cell<'_> {
        assert!(at.bytes().is_multiple_of(Cell::LEN), "cells are aligned, at=`{at}`");
        let place = self.place(Extent::new(at, ByteSize::new(Cell::LEN)));
        // SAFETY: the cell is inside a mapping that lives as long as `self`. It is aligned, since
        // the mapping begins at a page, and an array of atomic words has the layout of the words.
        // `Cell` accesses each of them atomically, and refuses to write if the mapping is read-only.
        Cell::new(unsafe { &*place.cast::<[AtomicU64; CELL_WORDS]>() }, self.access)
    }

    /// Gives the kernel advice about a part of the mapping.
    ///
    /// # Errors
    ///
    /// The kernel's error, and `EFAULT` if the part is outside.
    pub fn advise(&self, part: Extent, advice: Advice) -> Result<(), Errno> {
        let start = self.find(part).ok_or(Errno::FAULT)?;
        // A part that was found fits into the address space.
        let len = part.len.bytes() as usize;
        let advice = match advice {
            Advice::HugePages => mm::Advice::LinuxHugepage,
            Advice::PopulateRead => mm::Advice::LinuxPopulateRead,
            Advice::PopulateWrite => mm::Advice::LinuxPopulateWrite,
        };
        // SAFETY: the part is within the mapping, and none of the advice changes a byte.
        unsafe { madvise(start.cast(), len, advice) }
    }

    /// Faults in every page of a part by a write that changes nothing: the way of kernels without
    /// [`Advice::PopulateWrite`].
    ///
    /// # Panics
    ///
    /// If the part is outside, or the mapping is read-only.
    pub fn touch(&self, part: Extent) {
        self.assert_writable();
        let start = self.place(part);
        for offset in (0..part.len.bytes()).step_by(PAGE as usize) {
            // SAFETY: the byte is within the mapping, which lives longer than this reference, and
            // an atomic access is no data race.
            let byte = unsafe { AtomicU8::from_ptr(start.add(offset as usize)) };
            // An `or` of a known zero would be compiled to a load, which allocates nothing.
            byte.fetch_or(black_box(0), Ordering::Relaxed);
        }
    }

    fn assert_writable(&self) {
        assert!(self.access == Access::ReadWrite, "a write to a mapping that is read-only");
    }

    fn place(&self, extent: Extent) -> *mut u8 {
        self.find(extent).unwrap_or_else(|| {
            panic!("an extent outside the mapping, {extent:?} size=`{}`", self.size())
        })
    }

    fn find(&self, extent: Extent) -> Option<*mut u8> {
        let end = usize::try_from(extent.end()?.bytes()).ok()?;
        if end > self.len {
            return None;
        }
        let offset = usize::try_from(extent.offset.bytes()).ok()?;
        // SAFETY: `offset <= end <= len`, so the result stays within the mapping or at its end.
        Some(unsafe { self.start.as_ptr().add(offset) })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // The handler must not touch the addresses once they are another mapping's.
        drop(self.guard.take());
        // SAFETY: start and length are those of `mmap`. No pointer is in use any more: every user
        // of one keeps the mapping alive.
        let unmapped = unsafe { munmap(self.start.as_ptr().cast(), self.len) };
        debug_assert!(unmapped.is_ok(), "the whole mapping can be unmapped");
    }
}

/// Extent that is read in place. It keeps its mapping alive.
#[derive(Clone, Debug)]
pub struct MappedExtent {
    mapping: Arc<Mapping>,
    extent: Extent,
}

impl MappedExtent {
    /// The extent of this mapping, or `None` if any byte of it is outside.
    pub fn new(mapping: &Arc<Mapping>, extent: Extent) -> Option<Self> {
        mapping.contains(extent).then(|| Self { mapping: Arc::clone(mapping), extent })
    }

    /// Address of the first byte, and the length in bytes.
    ///
    /// The bytes may change at any time: see the [`copy`] module before following the pointer.
    pub fn raw_parts(&self) -> (*const u8, usize) {
        let start = self.mapping.locate(self.extent).expect("the extent was checked by `new`");
        // Within the mapping, so within the address space.
        (start, self.extent.len.bytes() as usize)
    }

    /// Takes the bytes into `digest` without copying them.
    pub fn digest(&self, digest: &mut Digest) {
        self.mapping.digest(self.extent, digest);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        os::{fd::AsFd, unix::fs::FileExt},
        panic::{self, AssertUnwindSafe},
    };

    use super::*;

    const LEN: u64 = 2 * PAGE;

    fn extent(at: u64, len: u64) -> Extent {
        Extent::new(Offset::new(at), ByteSize::new(len))
    }

    fn mapped(access: Access) -> (File, Mapping) {
        let file = tempfile::tempfile_in("/dev/shm").unwrap();
        file.set_len(LEN).unwrap();
        let mapping = Mapping::new(file.as_fd(), LEN as usize, access).unwrap();
        (file, mapping)
    }

    fn panics(work: impl FnOnce()) -> bool {
        panic::catch_unwind(AssertUnwindSafe(work)).is_err()
    }

    #[test]
    fn no_pointer_leaves_the_mapping() {
        let (_, mapping) = mapped(Access::ReadWrite);
        let at = |at, len| mapping.locate(extent(at, len)).map(<*const u8>::addr);
        assert_eq!(at(0, LEN), Some(mapping.address()));
        assert_eq!(at(LEN, 0), Some(mapping.address() + LEN as usize));
        for (at, len) in [(0, LEN + 1), (LEN, 1), (LEN + 1, 0), (u64::MAX, 1), (1, u64::MAX)] {
            assert!(!mapping.contains(extent(at, len)), "{at}+{len}");
        }
    }

    #[test]
    fn bytes_that_are_copied_in_are_those_that_are_copied_out_and_summed() {
        let (_, mapping) = mapped(Access::ReadWrite);
        let bytes: Vec<u8> = (0..PAGE).map(|i| (i * 31 % 251) as u8).collect();
        let place = extent(LEN - PAGE, PAGE);
        for summed in [false, true] {
            let mut digests = [Digest::new(), Digest::new(), Digest::new()];
            let [written, read, there] = &mut digests;
            mapping.copy_in(place.offset, &bytes, summed.then_some(written));
            let mut into = vec![0; bytes.len()];
            mapping.copy_out(place, &mut into, summed.then_some(read));
            mapping.digest(place, there);
            assert_eq!(into, bytes);
            let (mut cached, mut cached_sum) = (vec![7; 3], Digest::new());
            mapping.append_cached(place, &mut cached, &mut cached_sum);
            assert_eq!((&cached[..3], &cached[3..]), (&[7; 3][..], &into[..]));
            assert_eq!(cached_sum.finish(), Digest::of(&bytes));
            let expected = Digest::of(if summed { &bytes } else { &[] });
            assert_eq!(
                digests.map(|digest| digest.finish()),
                [expected, expected, Digest::of(&bytes)]
            );
        }
    }

    #[test]
    fn copies_outside_and_of_other_lengths_panic_before_they_touch_a_byte() {
        let (_, mapping) = mapped(Access::ReadWrite);
        for at in [LEN - 1, LEN, u64::MAX] {
            assert!(panics(|| mapping.copy_in(Offset::new(at), &[1; 2], None)), "in at {at}");
            assert!(panics(|| mapping.copy_out(extent(at, 2), &mut [0; 2], None)), "out at {at}");
            assert!(panics(|| mapping.digest(extent(at, 2), &mut Digest::new())), "sum at {at}");
            let cached = || mapping.append_cached(extent(at, 2), &mut vec![], &mut Digest::new());
            assert!(panics(cached), "out to the caches at {at}");
            assert!(panics(|| mapping.touch(extent(at, 2))), "touch at {at}");
            assert!(panics(|| _ = mapping.word(Offset::new(at))), "word at {at}");
        }
        assert!(panics(|| mapping.copy_out(extent(0, 2), &mut [0; 3], None)));
        assert!(panics(|| _ = mapping.word(Offset::new(4))), "a word that is not aligned");
        for at in [8, LEN, u64::MAX - 63] {
            assert!(panics(|| _ = mapping.cell(Offset::new(at))), "cell at {at}");
        }
        let mut all = vec![1; LEN as usize];
        mapping.copy_out(extent(0, LEN), &mut all, None);
        assert_eq!(all, vec![0; LEN as usize]);
    }

    #[test]
    fn a_read_only_mapping_refuses_every_write_with_a_panic_instead_of_a_signal() {
        let (file, mapping) = mapped(Access::Read);
        assert!(panics(|| mapping.copy_in(Offset::new(0), &[1], None)));
        assert!(panics(|| mapping.touch(extent(0, 1))));
        let word = mapping.word(Offset::new(8));
        let writes: [fn(Word<'_>); 4] = [
            |word| word.store(1),
            |word| word.raise(1),
            |word| word.set_generation(1),
            |word| word.clear_generation(),
        ];
        for (which, write) in writes.into_iter().enumerate() {
            assert!(panics(|| write(word)), "write {which}");
        }
        assert_eq!((word.load(), word.generation()), (0, 0));
        assert!(panics(|| mapping.cell(Offset::new(0)).write(&[1; 7])));
        file.write_all_at(&7_u64.to_ne_bytes(), 8).unwrap();
        assert_eq!((word.load(), word.generation()), (7, 7));
    }

    #[test]
    fn touching_pages_maps_them_and_changes_nothing() {
        let (file, mapping) = mapped(Access::ReadWrite);
        file.write_all_at(&[7; PAGE as usize], 0).unwrap();
        mapping.touch(extent(0, LEN));
        let mut back = vec![1; LEN as usize];
        file.read_exact_at(&mut back, 0).unwrap();
        assert_eq!(back[..PAGE as usize], [7; PAGE as usize]);
        assert_eq!(back[PAGE as usize..], [0; PAGE as usize]);
        assert_eq!(rustix::fs::fstat(&file).unwrap().st_blocks as u64 * 512, LEN);
    }

    #[test]
    fn an_extent_in_place_keeps_its_mapping() {
        let (_, mapping) = mapped(Access::ReadWrite);
        let mapping = Arc::new(mapping);
        assert!(MappedExtent::new(&mapping, extent(1, LEN)).is_none());
        let kept = MappedExtent::new(&mapping, extent(8, 16)).unwrap();
        assert_eq!(Arc::strong_count(&mapping), 2);
        assert_eq!((kept.raw_parts().0.addr(), kept.raw_parts().1), (mapping.address() + 8, 16));
        drop(kept);
        assert_eq!(Arc::strong_count(&mapping), 1);
    }
}
