//! Reclaim of the oldest segment: what was read since it was written is written on, the rest forgotten.

use std::io;

use kvlease_sys::Digest;
use kvlease_tier::Stat;

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
    state::{Written, stat_of},
    table,
};

/// The part of a segment that is written on at most, so that a reclaim always gains room.
const MOVED_PART: u64 = 2;

/// Object of the segment.
struct Resident {
    fingerprint: Fingerprint,
    object: Indexed,
}

/// Record that is written on.
struct Move<'a> {
    from: u64,
    to: u64,
    header: Header<'a>,
}

impl Maintenance {
    /// Reclaims the oldest segment, if too few are free.
    pub(super) fn reclaim(&mut self) -> io::Result<bool> {
        let Some((segment, sequence)) = self.shared.state().segments.start_reclaim() else {
            return Ok(false);
        };
        let residents = residents(&self.shared, segment, sequence);
        let moved = self.move_read(&residents);
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
        let block = &mut self.buffer[..BLOCK];
        block.fill(0);
        device.write_at(geometry.offset(segment, 0), block)?;
        device.sync()?;
        let mut state = self.shared.state();
        for Resident { fingerprint, object } in &residents {
            state.forget(*fingerprint, object.place);
        }
        state.segments.end_reclaim();
        Ok(true)
    }

    /// Writes on what was read, within the bound. Returns what is written, and not yet committed.
    fn move_read(&mut self, residents: &[Resident]) -> Vec<Written> {
        let mut left = self.shared.geometry.blocks() / MOVED_PART;
        let mut moved = Vec::new();
        for Resident { fingerprint, object } in residents.iter().filter(|one| one.object.is_read) {
            if self.stop.is_set() {
                break;
            }
            match self.move_one(*fingerprint, object, &mut left) {
                Ok(written) => moved.extend(written),
                Err(error) => {
                    tracing::warn!(
                        "an object of the NVMe tier was forgotten, since it could not be moved: {error}"
                    );
                }
            }
        }
        moved
    }

    /// Writes an object on; `None` if it is not to be, or cannot.
    fn move_one(
        &mut self,
        fingerprint: Fingerprint,
        object: &Indexed,
        left: &mut u64,
    ) -> io::Result<Option<Written>> {
        let place = object.place;
        let from = self.shared.geometry.offset(place.segment, place.block.into());
        self.shared.device.read_at(from, &mut self.buffer[..BLOCK])?;
        let old = self.shared.state().segments.position(place);
        let Some(header) = Header::decode(&self.shared.secret, old, &self.buffer) else {
            return Ok(None);
        };
        let stat = stat_of(object);
        if header.kind != KIND_OBJECT || header.len != stat.len.bytes() {
            return Ok(None);
        }
        let (bucket, key) = (header.bucket.to_owned(), header.key.to_owned());
        let layout = Layout::of(bucket.len() + key.len(), header.len);
        if layout.blocks > *left {
            return Ok(None);
        }
        let Some(reservation) = self.room(fingerprint, place, layout.blocks)? else {
            return Ok(None);
        };
        *left -= layout.blocks;
        let header = Header {
            position: reservation.position,
            kind: KIND_OBJECT,
            bucket: &bucket,
            key: &key,
            len: stat.len.bytes(),
            checksum: stat.checksum.xxh3_64(),
        };
        let to = reservation.place;
        let to = self.shared.geometry.offset(to.segment, to.block.into());
        let copied = self.copy(&Move { from, to, header }, stat);
        if !matches!(copied, Ok(true)) {
            self.shared.state().abandon(fingerprint, &reservation);
        }
        Ok(copied?.then_some(Written { fingerprint, stat, reservation }))
    }

    /// Room to write an object on, for which even the last free segment is used.
    fn room(
        &mut self,
        fingerprint: Fingerprint,
        place: Place,
        blocks: u64,
    ) -> io::Result<Option<Reservation>> {
        let ask = |shared: &Shared| shared.state().start_move(fingerprint, place, blocks);
        let mut room = ask(&self.shared);
        if room == Room::Later {
            self.start_next(true)?;
            room = ask(&self.shared);
        }
        Ok(match room {
            Room::At(reservation) => Some(reservation),
            Room::Later | Room::Full => None,
        })
    }

    /// Copies a record with its new header. False, and the last piece is not written, if its bytes
    /// have not their checksum.
    fn copy(&mut self, record: &Move<'_>, stat: Stat) -> io::Result<bool> {
        let device = &self.shared.device;
        let pieces = Pieces::new(record.header.layout(), stat.len.bytes());
        let mut digest = Digest::new();
        let mut header = [0; BLOCK];
        for piece in 0..pieces.count() {
            let (range, data) = (pieces.range(piece), pieces.data(piece));
            let buffer = &mut self.buffer[..pieces.piece_len(piece)];
            device.read_at(record.from + range.start, buffer)?;
            digest.update(&buffer[data.clone()]);
            if piece + 1 == pieces.count() && digest.finish() != stat.checksum {
                return Ok(false);
            }
            if piece == 0 {
                record.header.encode(&self.shared.secret, &mut header);
                buffer[..data.start].copy_from_slice(&header[..data.start]);
            }
            device.write_at(record.to + range.start, buffer)?;
        }
        Ok(true)
    }
}

/// Objects of a segment.
fn residents(shared: &Shared, segment: u32, sequence: u64) -> Vec<Resident> {
    let Shared { device, geometry, secret, .. } = shared;
    let entries = table::read(&**device, geometry, secret, segment, sequence);
    let state = shared.state();
    let fingerprints = match entries {
        Ok(Some(entries)) => entries.iter().map(|entry| entry.fingerprint).collect(),
        // The table is lost, so every object is looked at.
        Ok(None) | Err(_) => state.index.in_segment(segment),
    };
    let resident = |fingerprint: Fingerprint| {
        let object = state.index.get(fingerprint)?;
        (object.place.segment == segment).then_some(Resident { fingerprint, object })
    };
    fingerprints.into_iter().filter_map(resident).collect()
}
