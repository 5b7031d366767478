//! Table of the published index: where the objects of the arena are, for readers of other processes.
//!
//! The table has one cell of 64 bytes per slot of the catalog, and heads. The cells of objects whose
//! fingerprints share a head are a chain: the head names the first slot of it, each cell the next
//! one. A cell never moves. The daemon alone writes, and a reader needs no lock: see the protocol of
//! [`Cell`].
//!
//! A chain that changes while a reader follows it may lead it into another chain, or to an end too
//! early. Then the reader finds nothing, and asks the daemon. It never takes one object for another,
//! since it compares the whole fingerprint within the cell.
//!
//! Layout, version 1, all numbers in the machine's own order:
//!
//! | bytes | field |
//! |---|---|
//! | 0..8 | magic, `KVLINDEX` |
//! | 8..16 | version, 1 |
//! | 16..24 | number of slots |
//! | 24..32 | number of heads: a power of two, at least as many as slots |
//! | 32..4096 | zero |
//! | 4096.. | heads, 8 bytes each: 0, or 1 + the slot of the first cell |
//! | after that, at a multiple of 64 | cells |
//!
//! A cell:
//!
//! | bytes | field |
//! |---|---|
//! | 0..8 | sequence: odd while the cell changes |
//! | 8..24 | fingerprint: low and high half |
//! | 24..32 | generation of the object; 0 for an empty cell |
//! | 32..40 | offset of its bytes in the arena |
//! | 40..48 | length |
//! | 48..56 | checksum: XXH3-64 |
//! | 56..60 | 0, or 1 + the slot of the next cell of the chain |
//! | 60..64 | flags: bit 0 says that the object can be looked up only, and has to be leased to be read |

use std::{io, os::fd::BorrowedFd};

use kvlease_types::{ByteSize, Checksum, Extent, Offset};

use crate::{Access, Cell, Fingerprint, Mapping, PAGE, Word, words::CELL_WORDS};

const MAGIC: [u8; 8] = *b"KVLINDEX";
const VERSION: u64 = 1;

/// Length of the header: the heads begin behind it.
const HEADER_LEN: u64 = PAGE;

/// The object has to be leased to be read.
const LEASED_ONLY: u64 = 1 << 32;

/// Cell of one object.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct IndexCell {
    /// Fingerprint of its name.
    pub fingerprint: Fingerprint,
    /// Generation, which the table of generations has for the slot while the bytes are the object's;
    /// 0 for an empty cell.
    pub generation: u64,
    /// Where its bytes are. If it has to be leased, only the length counts.
    pub extent: Extent,
    /// Checksum of its bytes.
    pub checksum: Checksum,
    /// Slot of the next cell of the chain.
    pub next: Option<u32>,
    /// Whether the object has to be leased to be read: it has several extents, or its bytes were not
    /// verified since a restart.
    pub leased_only: bool,
}

/// Mapped table of the published index. The daemon maps it for writing, readers for reading only.
#[derive(Debug)]
pub struct IndexTable {
    mapping: Mapping,
    slots: u64,
    heads: u64,
}

impl IndexTable {
    /// Most cells of a chain. A chain that is longer is not followed to its end.
    pub const CHAIN_MAX: usize = 16;

    /// Length of the file of a table of this many slots; `None` if there is none that long.
    pub fn file_len(slots: u64) -> Option<u64> {
        let heads = slots.checked_next_power_of_two()?;
        let cells = cells_at(heads)?;
        cells.checked_add(slots.checked_mul(Cell::LEN)?)
    }

    /// Maps the table of a file, whose length is [`Self::file_len`].
    ///
    /// # Errors
    ///
    /// The kernel's error, and one for more slots than the address space has room for.
    pub fn map(file: BorrowedFd<'_>, slots: u64, access: Access) -> io::Result<Self> {
        let len = Self::file_len(slots).ok_or(io::ErrorKind::InvalidInput)?;
        let len = usize::try_from(len).map_err(io::Error::other)?;
        let heads = slots.next_power_of_two();
        Ok(Self { mapping: Mapping::new(file, len, access)?, slots, heads })
    }

    /// Writes the header.
    pub fn write_header(&self) {
        self.mapping.copy_in(Offset::new(0), &self.header(), None);
    }

    /// Whether the header is that of a table of this version and of this many slots.
    pub fn has_header(&self) -> bool {
        let mut found = [0; HEADER_FIELDS];
        let fields = Extent::new(Offset::new(0), ByteSize::new(HEADER_FIELDS as u64));
        self.mapping.copy_out(fields, &mut found, None);
        found == self.header()
    }

    fn header(&self) -> [u8; HEADER_FIELDS] {
        let numbers = [u64::from_ne_bytes(MAGIC), VERSION, self.slots, self.heads];
        let mut bytes = [0; HEADER_FIELDS];
        for (field, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            field.copy_from_slice(&number.to_ne_bytes());
        }
        bytes
    }

    /// Number of slots.
    pub fn slots(&self) -> u64 {
        self.slots
    }

    /// Slot of the first cell of the chain that an object of this fingerprint is in.
    pub fn first(&self, fingerprint: Fingerprint) -> Option<u32> {
        slot_of(self.head(fingerprint).load())
    }

    /// Changes the first cell of the chain that an object of this fingerprint is in.
    ///
    /// # Panics
    ///
    /// If the table is mapped read-only.
    pub fn set_first(&self, fingerprint: Fingerprint, slot: Option<u32>) {
        self.head(fingerprint).store(link_to(slot));
    }

    /// Cell of a slot as it was at one moment. `None` while it changes, and if there is no such slot.
    pub fn read(&self, slot: u32) -> Option<IndexCell> {
        Some(IndexCell::from_words(&self.cell(slot)?.read()?))
    }

    /// Changes the cell of a slot.
    ///
    /// # Panics
    ///
    /// If there is no such slot, or the table is mapped read-only.
    pub fn write(&self, slot: u32, cell: &IndexCell) {
        let place = self.cell(slot).expect("the table has a cell for every slot of the catalog");
        place.write(&cell.to_words());
    }

    /// The cell with this fingerprint, with its slot. `None` if there is none, or if cells change
    /// while they are looked at.
    pub fn find(&self, fingerprint: Fingerprint) -> Option<(u32, IndexCell)> {
        let mut slot = self.first(fingerprint)?;
        for _ in 0..Self::CHAIN_MAX {
            let cell = self.read(slot)?;
            if cell.fingerprint == fingerprint && cell.generation != 0 {
                return Some((slot, cell));
            }
            slot = cell.next?;
        }
        None
    }

    fn head(&self, fingerprint: Fingerprint) -> Word<'_> {
        let head = fingerprint.low & (self.heads - 1);
        self.mapping.word(Offset::new(HEADER_LEN + head * Word::LEN))
    }

    fn cell(&self, slot: u32) -> Option<Cell<'_>> {
        let slot = u64::from(slot);
        let cells = cells_at(self.heads).expect("the table is mapped");
        (slot < self.slots).then(|| self.mapping.cell(Offset::new(cells + slot * Cell::LEN)))
    }
}

/// Length of the fields of the header.
const HEADER_FIELDS: usize = 32;

/// Where the cells begin.
fn cells_at(heads: u64) -> Option<u64> {
    HEADER_LEN.checked_add(heads.checked_mul(Word::LEN)?)?.checked_next_multiple_of(Cell::LEN)
}

/// The link that names a slot.
fn link_to(slot: Option<u32>) -> u64 {
    slot.map_or(0, |slot| u64::from(slot) + 1)
}

/// The slot that a link names.
fn slot_of(link: u64) -> Option<u32> {
    u32::try_from(link.checked_sub(1)?).ok()
}

impl IndexCell {
    fn to_words(self) -> [u64; CELL_WORDS - 1] {
        let next = link_to(self.next);
        // The highest slot has no link: 1 + it would not fit. No catalog has that many slots.
        assert!(next < LEASED_ONLY, "a link has 32 bits");
        [
            self.fingerprint.low,
            self.fingerprint.high,
            self.generation,
            self.extent.offset.bytes(),
            self.extent.len.bytes(),
            self.checksum.xxh3_64(),
            next | if self.leased_only { LEASED_ONLY } else { 0 },
        ]
    }

    fn from_words(words: &[u64; CELL_WORDS - 1]) -> Self {
        let [low, high, generation, offset, len, checksum, last] = *words;
        Self {
            fingerprint: Fingerprint { low, high },
            generation,
            extent: Extent::new(Offset::new(offset), ByteSize::new(len)),
            checksum: Checksum::new(checksum),
            next: slot_of(last & u64::from(u32::MAX)),
            leased_only: last & LEASED_ONLY != 0,
        }
    }
}
