//! Life of the segments: free, next, open, sealing, sealed, reclaimed, and free again.
//!
//! Segments are used in the order of their sequence numbers, and reclaimed in the same order. A
//! reclaimed one is not written to before all that were reclaimed earlier, so a tombstone outlives
//! every record that it is for.

use std::collections::VecDeque;

use crate::{
    format::{
        index_table::{self, Entry},
        record::Position,
    },
    geometry::Geometry,
    index::Place,
};

/// Free segments that are left to what is written on during reclaim.
const KEPT_FREE: usize = 1;

/// Free segments below which the oldest is reclaimed.
const FREE_MIN: usize = 2;

/// Segments by what they are used for.
#[derive(Debug)]
pub(crate) struct Segments {
    geometry: Geometry,
    all: Vec<Segment>,
    free: VecDeque<u32>,
    /// Has its header, and no record.
    next: Option<u32>,
    open: Option<Filling>,
    /// Take no more records, and have no table yet; oldest first.
    sealing: VecDeque<Filling>,
    /// Oldest first.
    sealed: VecDeque<u32>,
    /// Reclaimed, and maybe still read from; oldest first.
    draining: VecDeque<u32>,
    /// Segments that get their header.
    starting: usize,
    sequence_last: u64,
}

/// Segment.
#[derive(Clone, Copy, Default, Debug)]
struct Segment {
    sequence: u64,
    /// Readers.
    pins: u32,
}

/// Segment that is being filled.
#[derive(Debug)]
struct Filling {
    segment: u32,
    sequence: u64,
    next_block: u64,
    /// Entries that the table will have at most.
    reserved: usize,
    /// Records that are being written.
    writing: u32,
    /// Entries of the committed records.
    entries: Vec<Entry>,
}

/// Room for a record, until it is committed or abandoned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Reservation {
    pub(crate) place: Place,
    pub(crate) position: Position,
}

/// Answer to a request for room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Room {
    At(Reservation),
    /// When the next segment is ready.
    Later,
    /// Not before objects are read or written to their end, which may never be.
    Full,
}

impl Segments {
    /// Segments after recovery: `sealed` and `free` in the order of the log.
    pub(crate) fn new(geometry: Geometry, sealed: &[(u32, u64)], free: &[u32], last: u64) -> Self {
        let mut all = vec![Segment::default(); geometry.segments as usize];
        for (segment, sequence) in sealed {
            all[*segment as usize].sequence = *sequence;
        }
        Self {
            geometry,
            all,
            free: free.iter().copied().collect(),
            next: None,
            open: None,
            sealing: VecDeque::new(),
            sealed: sealed.iter().map(|(segment, _)| *segment).collect(),
            draining: VecDeque::new(),
            starting: 0,
            sequence_last: last,
        }
    }

    pub(crate) fn position(&self, place: Place) -> Position {
        let sequence = self.all[place.segment as usize].sequence;
        Position { sequence, block: place.block }
    }

    /// Reserves blocks for a record with this many entries in the table.
    pub(crate) fn reserve(&mut self, blocks: u64, entries: usize) -> Room {
        loop {
            let all_blocks = self.geometry.blocks();
            if let Some(open) = &mut self.open
                && open.fits(all_blocks, blocks, entries)
            {
                return Room::At(open.reserve(blocks, entries));
            }
            let Some(next) = self.next.take() else {
                return if self.is_exhausted() { Room::Full } else { Room::Later };
            };
            self.sealing.extend(self.open.take());
            self.open = Some(Filling::new(next, self.all[next as usize].sequence));
        }
    }

    /// Whether no segment can become free any more.
    fn is_exhausted(&self) -> bool {
        let coming = self.sealing.len() + self.sealed.len() + self.draining.len() + self.starting;
        self.free.len() <= KEPT_FREE && coming == 0
    }

    /// Ends a reservation, with the entries of the record if it was committed.
    pub(crate) fn end_write(&mut self, reservation: &Reservation, entries: &[Entry]) {
        let is_it = |filling: &&mut Filling| filling.segment == reservation.place.segment;
        let filling = self.open.iter_mut().chain(&mut self.sealing).find(is_it);
        let filling = filling.expect("a segment is not sealed before its records are written");
        filling.writing -= 1;
        filling.entries.extend_from_slice(entries);
    }

    /// Takes a free segment to be the next one, if there is none; its number and sequence number.
    /// For a reclaim even the last ones.
    pub(crate) fn start_next(&mut self, for_reclaim: bool) -> Option<(u32, u64)> {
        let kept = if for_reclaim { 0 } else { KEPT_FREE };
        if self.next.is_some() || self.free.len() <= kept {
            return None;
        }
        let segment = self.free.pop_front()?;
        self.starting += 1;
        self.sequence_last += 1;
        self.all[segment as usize].sequence = self.sequence_last;
        Some((segment, self.sequence_last))
    }

    /// Ends [`Self::start_next`]: the segment has its header, or could not be written to.
    pub(crate) fn end_next(&mut self, segment: u32, is_ready: bool) {
        self.starting -= 1;
        if is_ready {
            self.next = Some(segment);
        } else {
            self.free.push_front(segment);
        }
    }

    /// The oldest segment that takes no more records, if all of them are written. It stays where it is
    /// until [`Self::end_sealing`].
    pub(crate) fn start_sealing(&self) -> Option<Walked> {
        let filling = self.sealing.front().filter(|filling| filling.writing == 0)?;
        Some(filling.walked())
    }

    /// Ends [`Self::start_sealing`]. A segment whose table could not be written counts as sealed: it
    /// is scanned at the next start.
    pub(crate) fn end_sealing(&mut self) {
        let filling = self.sealing.pop_front().expect("its sealing began");
        self.sealed.push_back(filling.segment);
    }

    /// Has the open segment sealed, though it has room, and returns the next one, which is not used:
    /// the tier is closed.
    pub(crate) fn close(&mut self) -> Option<u32> {
        self.sealing.extend(self.open.take());
        self.next.take()
    }

    /// The oldest sealed segment, if too few are free. It stays where it is until
    /// [`Self::end_reclaim`]. Waits for readers rather than start without room to write on.
    pub(crate) fn start_reclaim(&self) -> Option<(u32, u64)> {
        let waits = self.free.is_empty() && !self.draining.is_empty();
        if waits || self.free.len() + self.draining.len() >= FREE_MIN {
            return None;
        }
        let segment = *self.sealed.front()?;
        Some((segment, self.all[segment as usize].sequence))
    }

    /// Ends [`Self::start_reclaim`]: no object of the segment is left.
    pub(crate) fn end_reclaim(&mut self) {
        let segment = self.sealed.pop_front().expect("its reclaim began");
        self.draining.push_back(segment);
        self.drain();
    }

    /// Frees the sealed segment that is the last one of the log: its contents are elsewhere, and its
    /// header is gone.
    pub(crate) fn free_last(&mut self) {
        self.free.extend(self.sealed.pop_back());
    }

    pub(crate) fn pin(&mut self, segment: u32) {
        self.all[segment as usize].pins += 1;
    }

    /// Ends a reader. True if a segment became free by it.
    pub(crate) fn unpin(&mut self, segment: u32) -> bool {
        self.all[segment as usize].pins -= 1;
        self.drain()
    }

    /// Frees reclaimed segments that are not read from, in the order in which they were reclaimed.
    fn drain(&mut self) -> bool {
        let free_before = self.free.len();
        while let Some(segment) = self.draining.front()
            && self.all[*segment as usize].pins == 0
        {
            self.free.extend(self.draining.pop_front());
        }
        self.free.len() > free_before
    }

    /// First segment of the log with this sequence number or a later one.
    pub(crate) fn walk(&self, from: u64) -> Option<Walked> {
        let sequence = |segment: u32| self.all[segment as usize].sequence;
        if let Some(segment) = self.sealed.iter().find(|segment| sequence(**segment) >= from) {
            return Some(Walked { segment: *segment, sequence: sequence(*segment), entries: None });
        }
        let mut filling = self.sealing.iter().chain(&self.open);
        filling.find(|filling| filling.sequence >= from).map(Filling::walked)
    }
}

/// Segment of a walk through the log.
#[derive(Debug)]
pub(crate) struct Walked {
    pub(crate) segment: u32,
    pub(crate) sequence: u64,
    /// Its entries, in the order of the log; `None` if they are in the table of the file.
    pub(crate) entries: Option<Vec<Entry>>,
}

impl Filling {
    fn new(segment: u32, sequence: u64) -> Self {
        // The first block is the header.
        Self { segment, sequence, next_block: 1, reserved: 0, writing: 0, entries: Vec::new() }
    }

    fn fits(&self, all_blocks: u64, blocks: u64, entries: usize) -> bool {
        let table = index_table::blocks(self.reserved + entries) as u64;
        self.next_block + blocks + table <= all_blocks
    }

    fn reserve(&mut self, blocks: u64, entries: usize) -> Reservation {
        let block = u32::try_from(self.next_block).expect("a segment has few blocks");
        self.next_block += blocks;
        self.reserved += entries;
        self.writing += 1;
        let place = Place { segment: self.segment, block };
        Reservation { place, position: Position { sequence: self.sequence, block } }
    }

    fn walked(&self) -> Walked {
        let mut entries = self.entries.clone();
        entries.sort_by_key(|entry| entry.block);
        Walked { segment: self.segment, sequence: self.sequence, entries: Some(entries) }
    }
}
