//! Index tables on the device, and the end of segments.

use std::io;

use kvlease_sys::IoBuffer;

use crate::{
    device::Device,
    fingerprint::Secret,
    format::{
        BLOCK,
        index_table::{self, Entry, Footer},
    },
    geometry::Geometry,
};

/// Reads the table of a sealed segment; `None` if the segment has no whole one with this sequence
/// number.
pub(crate) fn read(
    device: &dyn Device,
    geometry: &Geometry,
    secret: &Secret,
    segment: u32,
    sequence: u64,
) -> io::Result<Option<Vec<Entry>>> {
    let mut last = IoBuffer::new(BLOCK)?;
    device.read_at(geometry.offset(segment, geometry.blocks() - 1), &mut last)?;
    let footer = Footer::decode(secret, &last).filter(|footer| footer.sequence == sequence);
    let Some(footer) = footer else { return Ok(None) };
    let blocks = index_table::blocks(footer.count as usize);
    if blocks == 1 {
        return Ok(footer.entries(&last));
    }
    if blocks as u64 >= geometry.blocks() {
        return Ok(None);
    }
    let mut table = IoBuffer::new(blocks * BLOCK)?;
    device.read_at(geometry.offset(segment, geometry.blocks() - blocks as u64), &mut table)?;
    Ok(footer.entries(&table))
}

/// Writes the table of a segment, and makes it durable with all records.
pub(crate) fn write(
    device: &dyn Device,
    geometry: &Geometry,
    secret: &Secret,
    (segment, sequence): (u32, u64),
    entries: &[Entry],
) -> io::Result<()> {
    let blocks = index_table::blocks(entries.len());
    let mut table = IoBuffer::new(blocks * BLOCK)?;
    index_table::encode(secret, sequence, entries, &mut table);
    device.write_at(geometry.offset(segment, geometry.blocks() - blocks as u64), &table)?;
    device.sync()
}

/// Ends the use of a segment on the device, durably: without its header it is free.
pub(crate) fn clear(device: &dyn Device, geometry: &Geometry, segment: u32) -> io::Result<()> {
    let zeros = IoBuffer::new(BLOCK)?;
    device.write_at(geometry.offset(segment, 0), &zeros)?;
    device.sync()
}
