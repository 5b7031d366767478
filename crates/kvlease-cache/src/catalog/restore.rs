//! Restoration: the objects of an earlier incarnation are taken over.
//!
//! They come from a manifest, which may be corrupt in ways that its checksums do not show, or be of
//! another program. So nothing of it is trusted that could make two objects share a byte or an
//! object leave the arena: what does not fit is dropped, and newer objects are kept first.

use std::{cmp::Reverse, collections::BTreeMap};

use kvlease_types::{BucketName, ByteSize, Checksum, Extent, Key, SealedObject, Timestamp};

use super::{Catalog, units_for, whole_units};
use crate::{
    changes::{Change, ChangeKind},
    config::{EXTENTS_PER_OBJECT_MAX, UNIT},
    objects::{Objects, State},
    outcome::Restored,
    space::Space,
};

/// Objects to be taken over, collected one by one.
#[derive(Default, Debug)]
pub struct Restoration {
    candidates: Vec<Candidate>,
    /// Objects that no catalog could have had.
    impossible: u64,
}

#[derive(Debug)]
struct Candidate {
    bucket: BucketName,
    key: Key,
    extents: Vec<Extent>,
    len: u64,
    checksum: Checksum,
    created: Timestamp,
    /// Of the incarnation that sealed it: the later one was sealed later.
    generation: u64,
    /// Until when clients of that incarnation may be reading it.
    leased_until: Timestamp,
}

/// Units that one extent takes.
#[derive(Clone, Copy, Debug)]
struct Piece {
    start: u32,
    end: u32,
}

/// Owner of a piece.
#[derive(Debug)]
struct Placed {
    end: u32,
    slot: u32,
    /// Which of the object's pieces it is.
    index: usize,
}

/// Objects that have a slot and no space yet.
#[derive(Default, Debug)]
struct Admitted {
    /// From the newest to the oldest, with the ends of their leases.
    slots: Vec<(u32, Timestamp)>,
    /// By their start.
    pieces: BTreeMap<u32, Placed>,
    /// Memory beside slots and blocks.
    heap: usize,
}

impl Admitted {
    /// Whether all units of this piece are without an owner.
    fn leaves(&self, piece: &Piece) -> bool {
        let below = self.pieces.range(..piece.end).next_back();
        below.is_none_or(|(_, placed)| placed.end <= piece.start)
    }
}

impl Restoration {
    /// Adds an object that an earlier incarnation had sealed, and no lease of which ends after
    /// `leased_until`.
    pub fn add(&mut self, object: &SealedObject<'_>, leased_until: Timestamp) {
        match Candidate::new(object, leased_until) {
            Some(candidate) => self.candidates.push(candidate),
            None => self.impossible += 1,
        }
    }
}

impl Candidate {
    /// `None` if no catalog has such an object.
    fn new(object: &SealedObject<'_>, leased_until: Timestamp) -> Option<Self> {
        let SealedObject { extents, checksum, created, generation, .. } = *object;
        let len = extents.iter().try_fold(0_u64, |sum, e| sum.checked_add(e.len.bytes()))?;
        // Only the last extent of an object ends within a unit.
        let inner = extents.split_last().map_or(&[][..], |(_, inner)| inner);
        let whole = inner.iter().all(|extent| extent.len.bytes().is_multiple_of(UNIT.bytes()));
        let sound = whole
            && len == object.len.bytes()
            && extents.len() <= EXTENTS_PER_OBJECT_MAX
            && extents.iter().all(|extent| Piece::of(extent).is_some());
        sound.then_some(Self {
            bucket: BucketName::restored(object.bucket).ok()?,
            key: Key::new(object.key).ok()?,
            extents: extents.to_vec(),
            len,
            checksum,
            created,
            generation,
            leased_until,
        })
    }

    fn pieces(&self) -> impl Iterator<Item = Piece> {
        self.extents.iter().map(|extent| Piece::of(extent).expect("its extents were checked"))
    }

    fn heap(&self) -> usize {
        Objects::heap_bytes(&self.key, self.extents.len())
    }
}

impl Piece {
    fn of(extent: &Extent) -> Option<Self> {
        let start = extent.offset.bytes();
        let aligned = start.is_multiple_of(UNIT.bytes()) && extent.len.bytes() > 0;
        let start = u32::try_from(start / UNIT.bytes()).ok().filter(|_| aligned)?;
        Some(Self { start, end: start.checked_add(units_for(extent.len.bytes())?)? })
    }
}

impl Catalog {
    /// Takes over the objects of an earlier incarnation, and makes the first `populated` bytes of
    /// the arena usable. An object that may still be read at `now` under a lease of that
    /// incarnation stays until that is over; [quarantine](Self::quarantine) below an object ends.
    ///
    /// The order in which they leave again is that in which they were used, as far as the ends of
    /// their leases tell, or else sealed. Their bytes count as unknown until a
    /// [verification](Self::record_verification) was recorded.
    ///
    /// Each object is reported to `report` instead of the change log, which could not hold them
    /// all: there is no reader yet that a drain could hold up.
    ///
    /// # Panics
    ///
    /// If something is populated already: its space may be in use by then.
    pub fn restore(
        &mut self,
        restoration: Restoration,
        populated: ByteSize,
        now: Timestamp,
        mut report: impl FnMut(&Change),
    ) -> Restored {
        assert_eq!(self.space.populated(), 0, "restoring comes before everything else");
        let populated = whole_units(populated).min(self.capacity);
        let Restoration { mut candidates, impossible } = restoration;
        // The newest first: what does not fit any more is old. Retained ones before all others.
        candidates.sort_by_key(|c| Reverse((c.bucket.is_retained(), c.created, c.generation)));
        let mut outcome = Restored { impossible, ..Restored::default() };
        let mut admitted = Admitted::default();
        for candidate in candidates {
            if !self.is_possible(&candidate, &admitted, populated) {
                outcome.impossible += 1;
            } else if !self.has_memory_for(&candidate, &admitted) {
                outcome.beyond_memory += 1;
            } else {
                self.admit(candidate, &mut admitted);
            }
        }
        self.place(admitted.pieces, populated);
        // Those that were used first come first: so a policy gets to know them.
        admitted.slots.reverse();
        admitted.slots.sort_by_key(|(slot, until)| self.objects[*slot].created.max(*until));
        for (slot, until) in admitted.slots {
            self.publish(slot, ChangeKind::Restored);
            self.report_all(&mut report);
            self.unverified += 1;
            outcome.objects += 1;
            outcome.bytes += self.objects[slot].len;
            let kept = self.objects[slot].is_kept();
            if until > now {
                if !kept {
                    self.pin(slot);
                }
                self.objects[slot].in_grace = true;
                self.grace_deadlines.set(slot, until);
            } else if !kept {
                self.add_evictable(slot);
            }
        }
        outcome
    }

    /// Whether an object can be there beside those that have been admitted.
    fn is_possible(&self, candidate: &Candidate, admitted: &Admitted, populated: u32) -> bool {
        let named = self.objects.find(candidate.bucket.as_str(), candidate.key.as_str());
        let mut own: Vec<_> = candidate.pieces().collect();
        own.sort_by_key(|piece| piece.start);
        let apart = own.windows(2).all(|pair| pair[0].end <= pair[1].start);
        let within = own.last().is_none_or(|piece| piece.end <= populated);
        named.is_none() && apart && within && own.iter().all(|piece| admitted.leaves(piece))
    }

    /// Whether the catalog's own memory has room for it, beside those that have been admitted.
    fn has_memory_for(&self, candidate: &Candidate, admitted: &Admitted) -> bool {
        // Each piece has a block, and so may the gap behind it, and each range in quarantine.
        let pieces = admitted.pieces.len() + candidate.extents.len() + self.quarantine.ranges() + 1;
        let known = self.objects.find_bucket(candidate.bucket.as_str());
        let names = self.objects.bucket_growth(&candidate.bucket, known);
        let more = names + candidate.heap() + Objects::SLOT_BYTES;
        let blocks = 2 * pieces * Space::BLOCK_BYTES;
        self.objects_memory() + admitted.heap + blocks + more <= self.objects_memory_max()
    }

    /// Gives an object its slot and its name.
    fn admit(&mut self, candidate: Candidate, admitted: &mut Admitted) {
        admitted.heap += candidate.heap();
        let pieces: Vec<_> = candidate.pieces().collect();
        let Candidate { bucket, key, extents, len, checksum, created, leased_until, .. } =
            candidate;
        self.generation += 1;
        let hash = self.objects.hash(bucket.as_str(), key.as_str());
        let class = self.classes.of(&bucket);
        let slot = self.objects.insert(hash, (&bucket, None), key, len, self.generation);
        // It enters its account with its space, when it is published.
        let id = self.objects[slot].bucket;
        self.objects.bucket_mut(id).class = class;
        let object = &mut self.objects[slot];
        (object.state, object.created, object.verified) = (State::Sealed, created, false);
        (object.checksum, object.extents) = (checksum, extents.into());
        admitted.slots.push((slot, leased_until));
        for (index, Piece { start, end }) in pieces.into_iter().enumerate() {
            admitted.pieces.insert(start, Placed { end, slot, index });
        }
    }

    /// Lays out the first `populated` units: objects, quarantine, and free space between them.
    fn place(&mut self, pieces: BTreeMap<u32, Placed>, populated: u32) {
        let mut blocks = Vec::with_capacity(pieces.len());
        for (start, Placed { end, slot, index }) in pieces {
            self.quarantine.populate(&mut self.space, start);
            self.quarantine.cut(start, end);
            blocks.push((slot, index, self.space.append_taken(end - start, slot)));
        }
        self.quarantine.populate(&mut self.space, populated);
        blocks.sort_unstable();
        for (slot, _, block) in blocks {
            self.space.adopt(&mut self.objects[slot].allocation, block);
        }
    }
}
