//! Objects of the tier and their places: index and segments under one lock, held for moments only.

use std::collections::{HashMap, VecDeque};

use kvlease_tier::Stat;
use kvlease_types::{ByteSize, Checksum};

use crate::{
    fingerprint::Fingerprint,
    format::{
        BLOCK,
        index_table::Entry,
        record::{KIND_OBJECT, KIND_TOMBSTONES, Layout, Position, TOMBSTONES_MAX},
    },
    index::{Index, Indexed, Place},
    segments::{Reservation, Room, Segments},
};

/// Index and segments.
pub(crate) struct State {
    pub(crate) index: Index,
    pub(crate) segments: Segments,
    /// Stores that have room and are not committed.
    in_flight: HashMap<Fingerprint, InFlight>,
    /// Blocks of the objects.
    blocks: u64,
    /// Objects whose segment was reclaimed since the start.
    pub(crate) forgotten: u64,
    /// The error that keeps the log from going on, until a write succeeds.
    pub(crate) trouble: Option<i32>,
}

/// Stores of one name that are under way.
#[derive(Default)]
struct InFlight {
    count: u32,
    /// The latest removal since the first of them began.
    removed: Option<Position>,
}

/// Start of a store.
#[derive(Debug)]
pub(crate) enum StoreStart {
    /// The tier has the object.
    Present,
    Room(Room),
}

/// Object that a load reads, in a pinned segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pinned {
    pub(crate) place: Place,
    pub(crate) position: Position,
}

/// Object whose record is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) stat: Stat,
    pub(crate) reservation: Reservation,
}

/// Part of a removal that has room for its tombstones.
#[derive(Debug)]
pub(crate) struct Removal {
    pub(crate) reservation: Reservation,
    pub(crate) fingerprints: Vec<Fingerprint>,
}

/// Object to be removed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Removed {
    pub(crate) fingerprint: Fingerprint,
    /// The place that it is removed from; any place if there is none.
    pub(crate) only_at: Option<Place>,
}

/// Length and checksum of an indexed object.
pub(crate) fn stat_of(object: &Indexed) -> Stat {
    Stat { len: ByteSize::new(object.len.into()), checksum: Checksum::new(object.checksum) }
}

/// Blocks that an object of this length takes, with its header.
fn blocks_of(len: u32) -> u64 {
    Layout::of(0, len.into()).blocks
}

impl State {
    pub(crate) fn new(index: Index, segments: Segments) -> Self {
        Self { index, segments, in_flight: HashMap::new(), blocks: 0, forgotten: 0, trouble: None }
    }

    /// Bytes of the objects, with their headers.
    pub(crate) fn used(&self) -> ByteSize {
        ByteSize::new(self.blocks * BLOCK as u64)
    }

    /// Starts a load: the object is not overwritten before [`Segments::unpin`].
    pub(crate) fn start_load(&mut self, fingerprint: Fingerprint, stat: Stat) -> Option<Pinned> {
        let object = self.index.get(fingerprint).filter(|object| stat_of(object) == stat)?;
        self.index.mark_read(fingerprint);
        self.segments.pin(object.place.segment);
        Some(Pinned { place: object.place, position: self.segments.position(object.place) })
    }

    /// Starts a store of a record of this many blocks. Room ends with [`Self::commit`] or
    /// [`Self::abandon`].
    pub(crate) fn start_store(
        &mut self,
        fingerprint: Fingerprint,
        stat: Stat,
        blocks: u64,
    ) -> StoreStart {
        if self.has(fingerprint, stat) {
            return StoreStart::Present;
        }
        let room = self.segments.reserve(blocks, 1);
        if matches!(room, Room::At(_)) {
            self.in_flight.entry(fingerprint).or_default().count += 1;
        }
        StoreStart::Room(room)
    }

    /// Whether the tier has this very object.
    pub(crate) fn has(&self, fingerprint: Fingerprint, stat: Stat) -> bool {
        self.index.get(fingerprint).is_some_and(|object| stat_of(&object) == stat)
    }

    /// Publishes an object whose record is durable. The latest record of a name wins, as it does at
    /// a start.
    pub(crate) fn commit(&mut self, written: &Written) {
        let Written { fingerprint, stat, reservation } = *written;
        let removed = self.end_in_flight(fingerprint);
        let entry = entry_of(fingerprint, stat, reservation.place);
        let is_latest = removed.is_none_or(|removed| removed < reservation.position)
            && self
                .index
                .get(fingerprint)
                .is_none_or(|object| self.segments.position(object.place) < reservation.position);
        if is_latest {
            self.segments.end_write(&reservation, &[entry]);
            self.publish(fingerprint, &entry, reservation.place, false);
        } else {
            self.segments.end_write(&reservation, &[]);
        }
    }

    /// Gives the room of a store up.
    pub(crate) fn abandon(&mut self, fingerprint: Fingerprint, reservation: &Reservation) {
        self.end_in_flight(fingerprint);
        self.segments.end_write(reservation, &[]);
    }

    fn end_in_flight(&mut self, fingerprint: Fingerprint) -> Option<Position> {
        let in_flight = self.in_flight.get_mut(&fingerprint).expect("its store began");
        in_flight.count -= 1;
        let removed = in_flight.removed;
        if in_flight.count == 0 {
            self.in_flight.remove(&fingerprint);
        }
        removed
    }

    /// Room for the record of an object that is written on during reclaim.
    pub(crate) fn start_move(
        &mut self,
        fingerprint: Fingerprint,
        from: Place,
        blocks: u64,
    ) -> Room {
        // A store under way will replace the object.
        if self.in_flight.contains_key(&fingerprint)
            || self.index.get(fingerprint).is_none_or(|object| object.place != from)
        {
            return Room::Full;
        }
        let room = self.segments.reserve(blocks, 1);
        if matches!(room, Room::At(_)) {
            self.in_flight.entry(fingerprint).or_default().count += 1;
        }
        room
    }

    /// Removes as many of the objects as one record has tombstones for, and takes them from the front.
    /// `found` gets, for each, whether it was there. No room is needed if no record can be on the
    /// device.
    pub(crate) fn start_removal(
        &mut self,
        removed: &mut VecDeque<Removed>,
        found: &mut Vec<bool>,
    ) -> Result<Option<Removal>, Room> {
        let count = removed.len().min(TOMBSTONES_MAX);
        let needed: Vec<Fingerprint> = removed
            .iter()
            .take(count)
            .filter(|removed| self.is_removable(removed))
            .map(|removed| removed.fingerprint)
            .collect();
        let removal = if needed.is_empty() {
            None
        } else {
            match self.segments.reserve(1, needed.len()) {
                Room::At(reservation) => Some(Removal { reservation, fingerprints: needed }),
                room => return Err(room),
            }
        };
        for object in removed.drain(..count) {
            let is_there = self.is_removable(&object) && self.remove_indexed(object.fingerprint);
            found.push(is_there);
        }
        if let Some(removal) = &removal {
            for fingerprint in &removal.fingerprints {
                if let Some(in_flight) = self.in_flight.get_mut(fingerprint) {
                    in_flight.removed = Some(removal.reservation.position);
                }
            }
        }
        Ok(removal)
    }

    fn is_removable(&self, removed: &Removed) -> bool {
        let indexed = self.index.get(removed.fingerprint);
        match removed.only_at {
            Some(place) => indexed.is_some_and(|object| object.place == place),
            None => indexed.is_some() || self.in_flight.contains_key(&removed.fingerprint),
        }
    }

    /// Ends a removal. Its entries are in the segment's table if they are durable.
    pub(crate) fn end_removal(&mut self, removal: &Removal, is_durable: bool) {
        let Place { block, .. } = removal.reservation.place;
        let tombstone = |fingerprint: &Fingerprint| Entry {
            fingerprint: *fingerprint,
            checksum: 0,
            len: 0,
            block,
            kind: KIND_TOMBSTONES,
        };
        let mut entries: Vec<Entry> = removal.fingerprints.iter().map(tombstone).collect();
        if !is_durable {
            entries.clear();
        }
        self.segments.end_write(&removal.reservation, &entries);
    }

    /// Forgets an object that is still at this place.
    pub(crate) fn forget(&mut self, fingerprint: Fingerprint, place: Place) {
        if self.index.get(fingerprint).is_some_and(|object| object.place == place) {
            self.remove_indexed(fingerprint);
            self.forgotten += 1;
        }
    }

    /// Enters what a table or a scan found, in the order of the log.
    pub(crate) fn restore(&mut self, segment: u32, entry: &Entry) {
        if entry.kind == KIND_OBJECT {
            self.publish(entry.fingerprint, entry, Place { segment, block: entry.block }, false);
        } else {
            self.remove_indexed(entry.fingerprint);
        }
    }

    fn publish(&mut self, fingerprint: Fingerprint, entry: &Entry, place: Place, is_read: bool) {
        let object = Indexed { place, len: entry.len, checksum: entry.checksum, is_read };
        self.blocks += blocks_of(entry.len);
        if let Some(replaced) = self.index.insert(fingerprint, object) {
            self.blocks -= blocks_of(replaced.len);
        }
    }

    fn remove_indexed(&mut self, fingerprint: Fingerprint) -> bool {
        let removed = self.index.remove(fingerprint);
        if let Some(removed) = removed {
            self.blocks -= blocks_of(removed.len);
        }
        removed.is_some()
    }
}

/// Entry of a record of an object.
pub(crate) fn entry_of(fingerprint: Fingerprint, stat: Stat, place: Place) -> Entry {
    Entry {
        fingerprint,
        checksum: stat.checksum.xxh3_64(),
        len: u32::try_from(stat.len.bytes()).expect("a segment is shorter than 4 GiB"),
        block: place.block,
        kind: KIND_OBJECT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Geometry;

    const GEOMETRY: Geometry = Geometry { segment_len: 64 << 10, segments: 8 };

    const STAT: Stat = Stat { len: ByteSize::new(5), checksum: Checksum::new(1) };

    /// A state with room.
    fn state() -> State {
        let free: Vec<u32> = (0..GEOMETRY.segments).collect();
        let mut segments = Segments::new(GEOMETRY, &[], &free, 0);
        let (next, _) = segments.start_next(false).unwrap();
        segments.end_next(next, true);
        State::new(Index::default(), segments)
    }

    fn start(state: &mut State, fingerprint: Fingerprint, stat: Stat) -> Written {
        match state.start_store(fingerprint, stat, 1) {
            StoreStart::Room(Room::At(reservation)) => Written { fingerprint, stat, reservation },
            other => panic!("no room: {other:?}"),
        }
    }

    fn remove(state: &mut State, fingerprint: Fingerprint) -> Option<Removal> {
        let mut removed = VecDeque::from([Removed { fingerprint, only_at: None }]);
        state.start_removal(&mut removed, &mut Vec::new()).unwrap()
    }

    #[test]
    fn a_removal_counts_for_stores_that_began_before_it_and_not_for_later_ones() {
        let (mut state, name) = (state(), Fingerprint(1));
        let before = start(&mut state, name, STAT);
        let removal = remove(&mut state, name).expect("a record may be on the device");
        let after = start(&mut state, name, STAT);
        state.commit(&before);
        assert!(!state.has(name, STAT), "its tombstone is later in the log");
        state.end_removal(&removal, true);
        state.commit(&after);
        assert!(state.has(name, STAT));
        assert!(remove(&mut state, Fingerprint(2)).is_none(), "there is nothing to remove");
    }

    #[test]
    fn the_later_of_two_stores_wins_as_it_does_at_a_start() {
        let other = Stat { checksum: Checksum::new(2), ..STAT };
        let (mut state, name) = (state(), Fingerprint(1));
        let (first, second) = (start(&mut state, name, STAT), start(&mut state, name, other));
        state.commit(&second);
        state.commit(&first);
        assert!(state.has(name, other));
        assert_eq!(state.used(), ByteSize::new(BLOCK as u64));
    }
}
