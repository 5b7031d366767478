//! Reclaim of the oldest segment: what was read since it was written is written on, the rest forgotten.

use std::{collections::VecDeque, io};

use kvlease_sys::Digest;

use super::Maintenance;
use crate::{
    fingerprint::Fingerprint,
    format::{
        BLOCK,
        record::{Header, KIND_OBJECT, Layout},
    },
    index::{Indexed, Place},
    pieces::Pieces,
    segments::{Reservation, Room},
    shared::Shared,
    state::{State, Written, stat_of},
    table,
};

/// The part of a segment that is written on at most, so that a reclaim always gains room.
const MOVED_PART: u64 = 2;

/// Objects that are looked at or forgotten in one hold of the lock: look-ups wait for it.
const LOCKED_MAX: usize = 512;

/// Object of the segment.
#[derive(Clone, Copy)]
struct Resident {
    fingerprint: Fingerprint,
    object: Indexed,
}

/// Object that is to be written on.
struct Planned {
    fingerprint: Fingerprint,
    object: Indexed,
    bucket: String,
    key: String,
    layout: Layout,
}

/// Object that has room to be written on.
struct Move {
    planned: Planned,
    reservation: Reservation,
}

impl Maintenance {
    /// Reclaims the oldest segment, if too few are free.
    pub(super) fn reclaim(&mut self) -> io::Result<bool> {
        let Some((segment, sequence)) = self.shared.state().segments.start_reclaim() else {
            return Ok(false);
        };
        let residents = residents(&self.shared, segment, sequence);
        let moved = self.move_read(&residents)?;
        let Shared { device, geometry, .. } = &*self.shared;
        // What is written on has to be durable before the old records are gone.
        let synced = if moved.is_empty() { Ok(()) } else { device.sync() };
        let mut state = self.shared.state();
        for written in &moved {
            match synced {
                Ok(()) => state.commit(written),
                Err(_) => state.abandon(written.fingerprint, &written.reservation),
            }
        }
        drop(state);
        synced?;
        // The segment ends on the device first. Otherwise an object that is forgotten, and therefore
        // removed without a tombstone, would come back after a power loss.
        table::clear(&**device, geometry, segment)?;
        for some in residents.chunks(LOCKED_MAX) {
            let mut state = self.shared.state();
            for Resident { fingerprint, object } in some {
                state.forget(*fingerprint, object.place);
            }
        }
        self.shared.state().segments.end_reclaim();
        Ok(true)
    }

    /// Writes on what was read, within the bound. Returns what is written, and not yet committed.
    fn move_read(&mut self, residents: &[Resident]) -> io::Result<Vec<Written>> {
        let mut left = self.shared.geometry.blocks() / MOVED_PART;
        let mut planned = VecDeque::new();
        for resident in residents.iter().filter(|resident| resident.object.is_read) {
            let plan = self.plan(resident).filter(|plan| plan.layout.blocks <= left);
            left -= plan.as_ref().map_or(0, |plan| plan.layout.blocks);
            planned.extend(plan);
        }
        let mut moves = Vec::new();
        reserve(&mut self.shared.state(), &mut planned, &mut moves);
        if !planned.is_empty() {
            // All of the rest at once: it fits the segment, which stores would fill otherwise.
            self.start_next(true, |state| reserve(state, &mut planned, &mut moves))?;
        }
        let mut moved = Vec::new();
        for Move { planned, reservation } in moves {
            let fingerprint = planned.fingerprint;
            match self.copy(&planned, &reservation) {
                Ok(true) => {
                    let stat = stat_of(&planned.object);
                    moved.push(Written { fingerprint, stat, reservation });
                }
                Ok(false) => self.shared.state().abandon(fingerprint, &reservation),
                Err(error) => {
                    self.shared.state().abandon(fingerprint, &reservation);
                    tracing::warn!(
                        "an object of the NVMe tier is forgotten: it cannot be moved: {error}"
                    );
                }
            }
        }
        Ok(moved)
    }

    /// Reads the names of an object; `None` if its header is not right.
    fn plan(&mut self, resident: &Resident) -> Option<Planned> {
        let Resident { fingerprint, object } = *resident;
        let place = object.place;
        let from = self.shared.geometry.offset(place.segment, place.block.into());
        self.shared.device.read_at(from, &mut self.buffer[..BLOCK]).ok()?;
        let position = self.shared.state().segments.position(place);
        let header = Header::decode(&self.shared.secret, position, &self.buffer)?;
        let is_it = header.kind == KIND_OBJECT && header.len == u64::from(object.len);
        is_it.then(|| Planned {
            fingerprint,
            object,
            bucket: header.bucket.to_owned(),
            key: header.key.to_owned(),
            layout: header.layout(),
        })
    }

    /// Copies a record with its new header. False, and the last piece is not written, if its bytes
    /// have not their checksum.
    fn copy(&mut self, planned: &Planned, reservation: &Reservation) -> io::Result<bool> {
        let Shared { device, geometry, secret, .. } = &*self.shared;
        let offset = |place: Place| geometry.offset(place.segment, place.block.into());
        let (from, to) = (offset(planned.object.place), offset(reservation.place));
        let Indexed { len, checksum, .. } = planned.object;
        let header = Header {
            position: reservation.position,
            kind: KIND_OBJECT,
            bucket: &planned.bucket,
            key: &planned.key,
            len: len.into(),
            checksum,
        };
        let pieces = Pieces::new(planned.layout, len.into());
        let mut digest = Digest::new();
        let mut block = [0; BLOCK];
        for piece in 0..pieces.count() {
            let (range, data) = (pieces.range(piece), pieces.data(piece));
            let buffer = &mut self.buffer[..pieces.piece_len(piece)];
            device.read_at(from + range.start, buffer)?;
            digest.update(&buffer[data.clone()]);
            if piece + 1 == pieces.count() && digest.finish().xxh3_64() != checksum {
                return Ok(false);
            }
            if piece == 0 {
                header.encode(secret, &mut block);
                buffer[..data.start].copy_from_slice(&block[..data.start]);
            }
            device.write_at(to + range.start, buffer)?;
        }
        Ok(true)
    }
}

/// Takes planned objects from the front as long as there is room.
fn reserve(state: &mut State, planned: &mut VecDeque<Planned>, moves: &mut Vec<Move>) {
    while let Some(plan) = planned.front() {
        match state.start_move(plan.fingerprint, plan.object.place, plan.layout.blocks) {
            Room::At(reservation) => {
                let planned = planned.pop_front().expect("it was looked at");
                moves.push(Move { planned, reservation });
            }
            // Not wanted any more.
            Room::Full => drop(planned.pop_front()),
            Room::Later => return,
        }
    }
}

/// Objects of a segment.
fn residents(shared: &Shared, segment: u32, sequence: u64) -> Vec<Resident> {
    let Shared { device, geometry, secret, .. } = shared;
    let fingerprints: Vec<Fingerprint> =
        match table::read(&**device, geometry, secret, segment, sequence) {
            Ok(Some(entries)) => entries.iter().map(|entry| entry.fingerprint).collect(),
            // The table is lost, so every object is looked at.
            Ok(None) | Err(_) => shared.state().index.in_segment(segment),
        };
    let mut residents = Vec::new();
    for some in fingerprints.chunks(LOCKED_MAX) {
        let state = shared.state();
        residents.extend(some.iter().filter_map(|fingerprint| {
            let object = state.index.get(*fingerprint)?;
            let is_here = object.place.segment == segment;
            is_here.then_some(Resident { fingerprint: *fingerprint, object })
        }));
    }
    residents
}
