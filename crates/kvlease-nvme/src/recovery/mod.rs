//! Start: what the segments hold, from their tables, and from a scan of those without one.

mod resume;
mod scan;
mod used;

use std::{
    fmt, io,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use kvlease_sys::IoBuffer;
use kvlease_types::ByteSize;

use crate::{
    device::Device,
    fingerprint::Secret,
    format::{BLOCK, segment_header},
    geometry::Geometry,
    index::Index,
    rewrite::Log,
    segments::Segments,
    state::State,
    table,
};

use used::Used;

/// The most threads that read at a start.
const READERS_MAX: u32 = 8;

/// Segments for which a thread is worth it.
const SEGMENTS_EACH: u32 = 8;

/// Findings of a start in the file.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct NvmeRecovery {
    /// Objects that the tier has.
    pub objects: u64,
    /// Bytes that they take, with what is stored beside them.
    pub bytes: ByteSize,
    /// Records that were not whole: stores that the end of the daemon cut off.
    pub dropped: u64,
    /// Segments that had to be scanned, as they had no table.
    pub scanned: u64,
    /// Segments that could not be read, and are not used.
    pub unreadable: u64,
    /// Time that it took.
    pub took: Duration,
}

impl fmt::Display for NvmeRecovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { objects, bytes, dropped, scanned, unreadable, took } = self;
        let took_ms = took.as_millis();
        write!(
            f,
            "objects=`{objects}` bytes=`{bytes}` dropped=`{dropped}` scanned_segments=`{scanned}` \
             unreadable_segments=`{unreadable}` took_ms=`{took_ms}`"
        )
    }
}

/// Contents of a segment.
#[derive(Debug)]
enum Contents {
    /// Not in use.
    Free,
    /// It cannot be read.
    Unreadable,
    /// In use.
    Used(Used),
}

/// Reads the file, seals what was being filled, and starts the next segment if that is little.
pub(crate) fn recover(
    device: &dyn Device,
    geometry: Geometry,
    secret: &Secret,
) -> io::Result<(State, NvmeRecovery)> {
    let began = Instant::now();
    let mut recovery = NvmeRecovery::default();
    let (mut free, mut used) = (Vec::new(), Vec::new());
    for (segment, contents) in read_all(device, &geometry, secret) {
        match contents {
            Contents::Free => free.push(segment),
            Contents::Unreadable => recovery.unreadable += 1,
            Contents::Used(segment) => used.push(segment),
        }
    }
    free.sort_unstable();
    used.sort_by_key(|used| used.sequence);
    let last = used.last().map_or(0, |used| used.sequence);
    for used in &used {
        recovery.dropped += used.dropped;
        recovery.scanned += u64::from(used.has_no_table);
    }
    // A segment without records was the next one, or the first records of it were cut off.
    let (empty, filled): (Vec<_>, Vec<_>) =
        used.into_iter().partition(|used| used.entries.is_empty());
    for used in &empty {
        table::clear(device, &geometry, used.segment)?;
        free.push(used.segment);
    }
    let sealed: Vec<_> = filled.iter().map(|used| (used.segment, used.sequence)).collect();
    let segments = Segments::new(geometry, &sealed, &free, last);
    let mut state = State::new(Index::default(), segments);
    for used in &filled {
        used.entries.iter().for_each(|entry| state.restore(used.segment, entry));
    }
    // It starts with what the last segments hold, which needs a free one.
    let carried =
        if free.is_empty() { 0 } else { resume::count_carried(&state, &geometry, &filled) };
    let (kept, carried) = filled.split_at(filled.len() - carried);
    for used in kept.iter().filter(|used| used.has_no_table) {
        let log = (used.segment, used.sequence);
        table::write(device, &geometry, secret, log, &used.entries)?;
    }
    if !carried.is_empty() {
        resume::resume(Log { device, geometry: &geometry, secret }, &mut state, carried);
    }
    recovery.objects = state.index.len() as u64;
    recovery.bytes = state.used();
    recovery.took = began.elapsed();
    Ok((state, recovery))
}

/// Contents of all segments, in any order.
fn read_all(device: &dyn Device, geometry: &Geometry, secret: &Secret) -> Vec<(u32, Contents)> {
    let next = AtomicU32::new(0);
    let read_some = || {
        let mut found = Vec::new();
        loop {
            let segment = next.fetch_add(1, Ordering::Relaxed);
            if segment >= geometry.segments {
                return found;
            }
            let contents = read(device, geometry, secret, segment).unwrap_or_else(|error| {
                tracing::warn!(
                    "a segment of the NVMe tier cannot be read, segment=`{segment}`: {error}"
                );
                Contents::Unreadable
            });
            found.push((segment, contents));
        }
    };
    thread::scope(|scope| {
        let count = geometry.segments.div_ceil(SEGMENTS_EACH).min(READERS_MAX);
        let readers: Vec<_> = (0..count).map(|_| scope.spawn(read_some)).collect();
        let found = readers.into_iter().map(|reader| reader.join().expect("readers do not panic"));
        found.flatten().collect()
    })
}

fn read(
    device: &dyn Device,
    geometry: &Geometry,
    secret: &Secret,
    segment: u32,
) -> io::Result<Contents> {
    let mut block = IoBuffer::new(BLOCK)?;
    device.read_at(geometry.offset(segment, 0), &mut block)?;
    let Some(sequence) = segment_header::decode(secret, segment, &block) else {
        return Ok(Contents::Free);
    };
    if let Some(entries) = table::read(device, geometry, secret, segment, sequence)? {
        let used = Used { segment, sequence, entries, dropped: 0, has_no_table: false };
        return Ok(Contents::Used(used));
    }
    let scan::Scanned { entries, dropped } =
        scan::scan(device, geometry, secret, segment, sequence)?;
    Ok(Contents::Used(Used { segment, sequence, entries, dropped, has_no_table: true }))
}
