//! Page faults ahead of a write, many at a time.
//!
//! A client maps the arena without its pages, and the first write to each page is a fault of its
//! own: first writes ran at a tenth of the speed of later ones. A fault for reading maps the pages
//! around it as well, and those of a shared mapping of a tmpfs can be written to once they are
//! mapped. So the target of a write is populated for *reading* first, and the write runs at more
//! than a third of the later speed (`benches/write.rs`); populating for writing gains half of that.
//! Reads map the pages around a fault by themselves.

use std::sync::atomic::{AtomicU64, Ordering};

use kvlease_sys::{Advice, Mapping, PAGE};
use kvlease_types::{ByteSize, Extent, Offset};

/// Granularity, in bytes: the kernel's default for the pages that one fault maps.
const STRETCH: u64 = 64 << 10;

const WORD: u64 = u64::BITS as u64;

/// Stretches of a mapping that have their pages: a bit for each.
#[derive(Debug)]
pub(crate) struct Prefaulted {
    words: Box<[AtomicU64]>,
}

impl Prefaulted {
    /// For a mapping of this size that has no pages yet.
    pub(crate) fn new(size: ByteSize) -> Self {
        let words = size.bytes().div_ceil(STRETCH * WORD);
        Self { words: (0..words).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Maps the pages of a part ahead of a write. A part that covers no whole stretch is left to its
    /// faults.
    pub(crate) fn prefault(&self, mapping: &Mapping, part: Extent) {
        let (start, len) = (part.offset.bytes(), part.len.bytes());
        let whole = start.div_ceil(STRETCH)..(start + len) / STRETCH;
        if whole.clone().all(|stretch| self.has(stretch)) {
            return;
        }
        // The kernel takes whole pages.
        let before = start % PAGE;
        let pages = Extent::new(Offset::new(start - before), ByteSize::new(len + before));
        // A failure costs faults later, and nothing else.
        let _unheeded = mapping.advise(pages, Advice::PopulateRead);
        whole.for_each(|stretch| self.remember(stretch));
    }

    fn has(&self, stretch: u64) -> bool {
        let word = self.words[(stretch / WORD) as usize].load(Ordering::Relaxed);
        word >> (stretch % WORD) & 1 == 1
    }

    fn remember(&self, stretch: u64) {
        let bit = 1 << (stretch % WORD);
        self.words[(stretch / WORD) as usize].fetch_or(bit, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        os::{fd::AsFd, unix::fs::FileExt},
    };

    use kvlease_sys::Access;

    use super::*;

    const LEN: usize = 1 << 20;

    /// Pages that are mapped, according to the kernel.
    fn present(mapping: &Mapping) -> Vec<bool> {
        let pagemap = File::open("/proc/self/pagemap").unwrap();
        let first = mapping.address() as u64 / PAGE;
        let is_present = |page| {
            let mut entry = [0; 8];
            pagemap.read_exact_at(&mut entry, (first + page) * 8).unwrap();
            u64::from_le_bytes(entry) >> 63 == 1
        };
        (0..LEN as u64 / PAGE).map(is_present).collect()
    }

    #[test]
    fn the_target_of_a_write_has_its_pages_before() {
        let file = tempfile::tempfile_in("/dev/shm").unwrap();
        file.write_all_at(&vec![1; LEN], 0).unwrap();
        let mapping = Mapping::new(file.as_fd(), LEN, Access::ReadWrite).unwrap();
        let prefaulted = Prefaulted::new(mapping.size());
        let prefault = |start, len| {
            let part = Extent::new(Offset::new(start), ByteSize::new(len));
            prefaulted.prefault(&mapping, part);
        };
        prefault(5, STRETCH);
        assert_eq!(present(&mapping), vec![false; LEN / PAGE as usize], "no whole stretch");
        prefault(STRETCH - 1, STRETCH + 2);
        let pages = present(&mapping);
        let stretch = (STRETCH / PAGE) as usize;
        assert!(pages[stretch - 1..=2 * stretch].iter().all(|present| *present), "{pages:?}");
        assert!(!pages[LEN / PAGE as usize - 1], "{pages:?}");
        assert_eq!([0, 1, 2].map(|stretch| prefaulted.has(stretch)), [false, true, false]);
        prefault(0, LEN as u64);
        assert_eq!(present(&mapping), vec![true; LEN / PAGE as usize]);
        assert!((0..LEN as u64 / STRETCH).all(|stretch| prefaulted.has(stretch)));
    }
}
