//! Scan of a segment without a table, block by block.
//!
//! Records are written by several workers at a time, so a hole may be in front of a whole record. A
//! block is a record's header if its check says so, which only this store can compute; and a record
//! counts if its bytes have their checksum.

use std::io;

use kvlease_sys::{Digest, IoBuffer};
use kvlease_types::Checksum;

use crate::{
    device::Device,
    fingerprint::{Fingerprint, Secret},
    format::{
        BLOCK,
        index_table::{self, Entry},
        record::{Header, KIND_OBJECT, KIND_TOMBSTONES, Position, decode_tombstones},
    },
    geometry::Geometry,
};

/// Bytes that are read at a time.
const WINDOW: usize = 1 << 20;

/// Findings of a scan.
pub(super) struct Scanned {
    /// In the order of the log.
    pub(super) entries: Vec<Entry>,
    /// Records that are not whole.
    pub(super) dropped: u64,
}

/// Blocks of a segment, read in windows.
struct Window<'a> {
    device: &'a dyn Device,
    geometry: &'a Geometry,
    segment: u32,
    buffer: IoBuffer,
    start: u64,
    end: u64,
}

impl Window<'_> {
    /// The blocks from this one to the end of its window.
    fn from(&mut self, block: u64) -> io::Result<&[u8]> {
        if !(self.start..self.end).contains(&block) {
            let end = self.geometry.blocks().min(block + (WINDOW / BLOCK) as u64);
            let len = (end - block) as usize * BLOCK;
            let offset = self.geometry.offset(self.segment, block);
            self.device.read_at(offset, &mut self.buffer[..len])?;
            (self.start, self.end) = (block, end);
        }
        let (from, to) = ((block - self.start) as usize, (self.end - self.start) as usize);
        Ok(&self.buffer[from * BLOCK..to * BLOCK])
    }
}

/// Finds the whole records of a segment.
pub(super) fn scan(
    device: &dyn Device,
    geometry: &Geometry,
    secret: &Secret,
    segment: u32,
    sequence: u64,
) -> io::Result<Scanned> {
    let buffer = IoBuffer::new(WINDOW)?;
    let mut window = Window { device, geometry, segment, buffer, start: 0, end: 0 };
    let mut scanned = Scanned { entries: Vec::new(), dropped: 0 };
    let mut block = 1;
    // The last block is the table's.
    while block + 1 < geometry.blocks() {
        let position = Position { sequence, block: block as u32 };
        let bytes = window.from(block)?;
        let Some(header) = Header::decode(secret, position, bytes) else {
            block += 1;
            continue;
        };
        let layout = header.layout();
        let (kind, len, checksum) = (header.kind, header.len, header.checksum);
        let fingerprint = secret.fingerprint(header.bucket, header.key);
        let fits = layout.blocks < geometry.blocks() - block;
        let is_whole = fits && {
            let data = block * BLOCK as u64 + layout.data_at as u64;
            sum(&mut window, data, len)?.xxh3_64() == checksum
        };
        if !is_whole {
            scanned.dropped += 1;
            block += 1;
            continue;
        }
        let entry = |fingerprint, len, checksum| {
            let block = position.block;
            Entry { fingerprint, checksum, len, block, kind }
        };
        match kind {
            KIND_OBJECT => {
                let len = u32::try_from(len).expect("it fits a segment");
                scanned.entries.push(entry(fingerprint, len, checksum));
            }
            KIND_TOMBSTONES => {
                let bytes = &window.from(block)?[layout.data_at..][..len as usize];
                let removed: Vec<Fingerprint> = decode_tombstones(bytes).collect();
                scanned.entries.extend(removed.into_iter().map(|removed| entry(removed, 0, 0)));
            }
            // Of a later version: nothing that this one could serve.
            _ => {}
        }
        block += layout.blocks;
    }
    let table = index_table::blocks(scanned.entries.len()) as u64;
    debug_assert!(table < geometry.blocks(), "a writer leaves room for the table");
    Ok(scanned)
}

/// Checksum of bytes of the segment.
fn sum(window: &mut Window<'_>, mut at: u64, len: u64) -> io::Result<Checksum> {
    let mut digest = Digest::new();
    let end = at + len;
    while at < end {
        let bytes = window.from(at / BLOCK as u64)?;
        let bytes = &bytes[(at % BLOCK as u64) as usize..];
        let count = bytes.len().min((end - at) as usize);
        digest.update(&bytes[..count]);
        at += count as u64;
    }
    Ok(digest.finish())
}
