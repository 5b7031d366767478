//! The segment that is filled after a start: it begins with what the last segments hold, if that is
//! little.
//!
//! A segment is filled by one daemon: a write of one that was killed may reach the device late, so no
//! other may go on behind it. Each start therefore needs a segment of its own. Were the last one left
//! as it is, a daemon that starts often would use up all segments with little in each, and reclaim
//! would forget objects though there is room.

use std::{collections::HashSet, io};

use kvlease_sys::IoBuffer;

use super::used::Used;
use crate::{
    fingerprint::Fingerprint,
    format::{
        BLOCK,
        index_table::{self, Entry},
        record::{KIND_OBJECT, Layout, TOMBSTONES_MAX},
        segment_header,
    },
    geometry::Geometry,
    index::{Indexed, Place},
    pieces::BUFFER_LEN,
    rewrite::{Log, Record, write_tombstones},
    segments::Room,
    state::{Removal, State, Written, stat_of},
    table,
};

/// The part of a segment that what is carried into it takes at most. So each start uses up less than
/// twice what was written.
const CARRIED_PART: u64 = 2;

/// Contents of a segment that count: objects that no later record replaces or removes, and removals of
/// objects that are not there.
struct Live {
    objects: Vec<(Fingerprint, Indexed)>,
    removed: HashSet<Fingerprint>,
}

impl Live {
    fn of(state: &State, used: &Used) -> Self {
        let mut live = Self { objects: Vec::new(), removed: HashSet::new() };
        for Entry { fingerprint, block, kind, .. } in &used.entries {
            let place = Place { segment: used.segment, block: *block };
            match state.index.get(*fingerprint) {
                Some(object) if *kind == KIND_OBJECT && object.place == place => {
                    live.objects.push((*fingerprint, object));
                }
                None if *kind != KIND_OBJECT => drop(live.removed.insert(*fingerprint)),
                Some(_) | None => {}
            }
        }
        live
    }

    /// Blocks that it takes, with its part of the table.
    fn blocks(&self) -> u64 {
        let blocks = |object: &Indexed| Layout::of(0, object.len.into()).blocks;
        let objects: u64 = self.objects.iter().map(|(_, object)| blocks(object)).sum();
        let removed = self.removed.len().div_ceil(TOMBSTONES_MAX) as u64;
        let table = index_table::blocks(self.objects.len() + self.removed.len()) as u64;
        objects + removed + table
    }
}

/// Number of segments, the last ones of the log, whose contents fit a part of one.
pub(super) fn count_carried(state: &State, geometry: &Geometry, used: &[Used]) -> usize {
    let mut left = geometry.blocks() / CARRIED_PART;
    let fits = |used: &&Used| {
        let rest = left.checked_sub(Live::of(state, used).blocks());
        left = rest.unwrap_or_default();
        rest.is_some()
    };
    used.iter().rev().take_while(fits).count()
}

/// Starts the next segment with the contents of the last ones, and frees these. What is not carried
/// stays where it is.
///
/// A crash may leave any part of the new segment, and all of the old ones: its records say what is so
/// without them.
pub(super) fn resume(log: Log<'_>, state: &mut State, carried: &[Used]) {
    let outcome = carry(log, state, carried).and_then(|is_complete| {
        if !is_complete {
            return Ok(());
        }
        carried.iter().rev().try_for_each(|used| {
            table::clear(log.device, log.geometry, used.segment)?;
            state.segments.free_last();
            Ok(())
        })
    });
    if let Err(error) = outcome {
        tracing::warn!("the last segments of the NVMe tier stay as they are: {error}");
    }
}

/// Copies what the segments hold. False if something was left out.
fn carry(log: Log<'_>, state: &mut State, carried: &[Used]) -> io::Result<bool> {
    let Some((segment, sequence)) = state.segments.start_next(true) else { return Ok(false) };
    let mut buffer = IoBuffer::new(BUFFER_LEN)?;
    segment_header::encode(log.secret, segment, sequence, &mut buffer[..BLOCK]);
    // Before its records: a sequence number is not used twice, whatever becomes of them.
    let started = log.device.write_at(log.geometry.offset(segment, 0), &buffer[..BLOCK]);
    let started = started.and_then(|()| log.device.sync());
    state.segments.end_next(segment, started.is_ok());
    started?;
    let live: Vec<Live> = carried.iter().map(|used| Live::of(state, used)).collect();
    let removed: HashSet<_> = live.iter().flat_map(|live| &live.removed).copied().collect();
    let removals = carry_removals(log, state, &removed, &mut buffer);
    let objects = live.into_iter().flat_map(|live| live.objects).collect();
    let (written, is_whole) = carry_objects(log, state, objects, &mut buffer);
    let synced = log.device.sync();
    for removal in removals.iter().flatten() {
        state.end_removal(removal, synced.is_ok());
    }
    for written in &written {
        match synced {
            Ok(()) => state.commit(written),
            Err(_) => state.abandon(written.fingerprint, &written.reservation),
        }
    }
    synced.map(|()| is_whole && removals.is_some())
}

/// Writes tombstones. `None` if they could not be written: then none of them counts.
fn carry_removals(
    log: Log<'_>,
    state: &mut State,
    removed: &HashSet<Fingerprint>,
    buffer: &mut [u8],
) -> Option<Vec<Removal>> {
    let removed: Vec<Fingerprint> = removed.iter().copied().collect();
    let mut removals = Vec::new();
    for fingerprints in removed.chunks(TOMBSTONES_MAX) {
        let Room::At(reservation) = state.segments.reserve(1, fingerprints.len()) else { break };
        let removal = Removal { reservation, fingerprints: fingerprints.to_vec() };
        let is_written = write_tombstones(log, &removal, &mut buffer[..BLOCK]).is_ok();
        removals.push((removal, is_written));
    }
    let count: usize = removals
        .iter()
        .filter(|(_, is_written)| *is_written)
        .map(|(removal, _)| removal.fingerprints.len())
        .sum();
    if count == removed.len() {
        return Some(removals.into_iter().map(|(removal, _)| removal).collect());
    }
    removals.iter().for_each(|(removal, _)| state.end_removal(removal, false));
    None
}

/// Copies records of objects. Returns what is written, and not yet committed, and whether that is all.
fn carry_objects(
    log: Log<'_>,
    state: &mut State,
    objects: Vec<(Fingerprint, Indexed)>,
    buffer: &mut [u8],
) -> (Vec<Written>, bool) {
    let (mut written, count) = (Vec::new(), objects.len());
    for (fingerprint, object) in objects {
        let position = state.segments.position(object.place);
        let Some(record) = Record::read(log, object, position, buffer) else { continue };
        let room = state.start_move(fingerprint, object.place, record.layout.blocks);
        let Room::At(reservation) = room else { break };
        match record.copy(log, &reservation, buffer) {
            Ok(true) => {
                written.push(Written { fingerprint, stat: stat_of(&object), reservation });
            }
            Ok(false) => state.abandon(fingerprint, &reservation),
            Err(error) => {
                state.abandon(fingerprint, &reservation);
                tracing::warn!("an object of the NVMe tier cannot be moved: {error}");
            }
        }
    }
    let is_whole = written.len() == count;
    (written, is_whole)
}
