//! Reclaim of the oldest segment: what was read since it was written is written on, the rest forgotten.

use std::{collections::VecDeque, io};

use super::Maintenance;
use crate::{
    fingerprint::Fingerprint,
    index::Indexed,
    rewrite::Record,
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
    record: Record,
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
            let plan = self.plan(resident).filter(|plan| plan.record.layout.blocks <= left);
            left -= plan.as_ref().map_or(0, |plan| plan.record.layout.blocks);
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
            match planned.record.copy(self.shared.log(), &reservation, &mut self.buffer) {
                Ok(true) => {
                    let stat = stat_of(&planned.record.object);
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

    /// Plans to write an object on; `None` if its header is not right.
    fn plan(&mut self, resident: &Resident) -> Option<Planned> {
        let Resident { fingerprint, object } = *resident;
        let position = self.shared.state().segments.position(object.place);
        let record = Record::read(self.shared.log(), object, position, &mut self.buffer)?;
        Some(Planned { fingerprint, record })
    }
}

/// Takes planned objects from the front as long as there is room.
fn reserve(state: &mut State, planned: &mut VecDeque<Planned>, moves: &mut Vec<Move>) {
    while let Some(plan) = planned.front() {
        match state.start_move(
            plan.fingerprint,
            plan.record.object.place,
            plan.record.layout.blocks,
        ) {
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
