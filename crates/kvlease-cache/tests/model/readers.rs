//! Readers of the change log: the two that the catalog waits for, which lag behind at random, one
//! that is always up to date, and one that may miss changes.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Range,
};

use kvlease_cache::{Catalog, Change, ChangeFeed, ChangeKind, Gap, ListCursor, ObjectInfo};
use kvlease_types::{ByteSize, Checksum, Extent, SealedObject, Timestamp};

use crate::naive::touched;

/// Changes that the feed remembers: few, so that its reader misses some.
const FEED_LEN: usize = 8;

/// An object in the manifest, for the next incarnation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    pub(crate) name: (String, String),
    pub(crate) extents: Vec<Extent>,
    pub(crate) len: ByteSize,
    pub(crate) checksum: Checksum,
    pub(crate) generation: u64,
    pub(crate) created: Timestamp,
}

impl Entry {
    fn of(object: &SealedObject<'_>) -> Self {
        let SealedObject { bucket, key, extents, len, checksum, generation, created } = *object;
        let name = (bucket.to_owned(), key.to_owned());
        Self { name, extents: extents.to_vec(), len, checksum, generation, created }
    }

    pub(crate) fn object(&self) -> SealedObject<'_> {
        SealedObject {
            bucket: &self.name.0,
            key: &self.name.1,
            extents: &self.extents,
            len: self.len,
            checksum: self.checksum,
            generation: self.generation,
            created: self.created,
        }
    }

    /// Whether the catalog shows the same.
    pub(crate) fn is_of(&self, info: &ObjectInfo) -> bool {
        let name = (info.bucket.as_str(), info.key.as_str());
        let place = (&self.extents[..], self.len, self.checksum);
        (self.name.0.as_str(), self.name.1.as_str()) == name
            && place == (&info.extents[..], info.len, info.checksum)
            && (self.generation, self.created) == (info.generation, info.created)
    }
}

/// Generations and manifest by slot, as far as the log was replayed.
#[derive(Clone, Default, Debug)]
pub(crate) struct Replica {
    /// For the slots whose extents have not been freed.
    generations: BTreeMap<u32, u64>,
    /// For those whose object is published.
    pub(crate) manifest: BTreeMap<u32, Entry>,
    /// Of the last change.
    pub(crate) sequence: u64,
}

impl Replica {
    /// Replays a change, which must be possible in the order of its slot.
    pub(crate) fn apply(&mut self, change: &Change) {
        let Change { slot, generation, kind, .. } = *change;
        assert_eq!(change.sequence, self.sequence + 1, "no change is lost or comes twice");
        self.sequence = change.sequence;
        if kind.publishes() {
            let before = self.generations.insert(slot, generation);
            assert_eq!(before, None, "slot {slot} is freed before it is used again");
            let before = self.manifest.insert(slot, Entry::of(&change.object()));
            assert_eq!(before, None, "slot {slot} is unpublished before it is used again");
        }
        if kind.unpublishes() {
            let entry = self.manifest.remove(&slot).expect("it was published");
            assert_eq!(entry, Entry::of(&change.object()), "a departure tells what left");
        }
        if change.freed {
            assert!(!self.manifest.contains_key(&slot), "slot {slot} was unpublished before");
            assert_eq!(
                self.generations.remove(&slot),
                Some(generation),
                "slot {slot} is freed once"
            );
        } else {
            assert_ne!(kind, ChangeKind::Freed);
        }
    }
}

/// A reader that may fall behind.
#[derive(Debug)]
struct Follower {
    feed: ChangeFeed,
    /// Sequence number that it reads next.
    next: u64,
    known: BTreeMap<(String, String), u64>,
}

#[derive(Debug)]
pub(crate) struct Readers {
    /// Taken from the catalog and not applied yet.
    queue: VecDeque<Change>,
    /// State of the required readers.
    pub(crate) applied: Replica,
    /// Their state once the queue is applied: a replay of all that the log reported.
    pub(crate) shadow: Replica,
    follower: Follower,
    /// Where the object of every generation was when it was published.
    places: BTreeMap<u64, Vec<Range<usize>>>,
    slots_max: u32,
}

impl Readers {
    /// Readers of a catalog whose log begins behind what was `restored`.
    pub(crate) fn new(slots_max: u32, restored: &[Change]) -> Self {
        let mut replica = Replica::default();
        let mut places = BTreeMap::new();
        for change in restored {
            replica.apply(change);
            note_places(&mut places, change);
        }
        let feed = ChangeFeed::new(FEED_LEN, replica.sequence + 1);
        // It begins with no snapshot, so it is told of a gap.
        let follower = Follower { feed, next: 0, known: BTreeMap::new() };
        let (queue, shadow) = (VecDeque::new(), replica.clone());
        Self { queue, applied: replica, shadow, follower, places, slots_max }
    }

    /// Takes what the catalog reports.
    pub(crate) fn take(&mut self, catalog: &mut Catalog) -> Vec<Change> {
        let mut batch = Vec::new();
        catalog.take_changes(&mut batch);
        for change in &batch {
            self.shadow.apply(change);
            note_places(&mut self.places, change);
            assert!(change.slot < self.slots_max, "slots have a limit");
        }
        self.queue.extend(batch.iter().cloned());
        assert_eq!(self.shadow.sequence, catalog.last_change());
        batch
    }

    /// Changes that the required readers lag behind.
    pub(crate) fn lag(&self) -> usize {
        self.queue.len()
    }

    /// Applies the next `count` changes.
    pub(crate) fn apply(&mut self, count: usize) {
        for change in self.queue.drain(..count) {
            self.applied.apply(&change);
            self.follower.feed.append([change]);
        }
    }

    /// Lets the reader that may fall behind read on. Returns whether it had missed something.
    pub(crate) fn follow(&mut self, catalog: &Catalog) -> bool {
        let Follower { feed, next, known } = &mut self.follower;
        let gap = match feed.read(*next) {
            Ok(changes) => {
                for change in changes {
                    replay(known, change);
                }
                *next = feed.next();
                false
            }
            Err(Gap { next: noted }) => {
                *known = published(catalog);
                *next = noted;
                true
            }
        };
        if self.queue.is_empty() {
            // What it read last may be older than its snapshot, and is not newer than the log.
            let behind = self.follower.feed.read(self.follower.next).map(Iterator::count);
            assert_eq!(behind, Ok(0));
            assert_eq!(self.follower.known, published(catalog), "a follower knows what is there");
        }
        gap
    }

    /// The generation in a slot for readers of other processes, once all changes were applied.
    pub(crate) fn generation(&self, slot: u32) -> u64 {
        self.shadow.generations.get(&slot).copied().unwrap_or(0)
    }

    /// Extents were handed out: the required readers have dropped their last tenants, so that no
    /// client that still reads there finds its generation unchanged.
    pub(crate) fn hand_out(&self, extents: &[Extent]) {
        for given in extents.iter().map(touched) {
            for (slot, generation) in &self.applied.generations {
                let overlaps =
                    |held: &Range<usize>| held.start < given.end && given.start < held.end;
                let current = self.places[generation].iter().any(overlaps);
                assert!(!current, "slot {slot} still has the generation of units in {given:?}");
            }
        }
    }

    /// How many slots have a generation.
    pub(crate) fn len(&self) -> usize {
        self.shadow.generations.len()
    }
}

fn note_places(places: &mut BTreeMap<u64, Vec<Range<usize>>>, change: &Change) {
    if change.kind.publishes() {
        let of_object = change.extents.iter().map(touched).collect();
        let before = places.insert(change.generation, of_object);
        assert_eq!(before, None, "no generation comes twice");
    }
}

/// Applies a change to what a follower knows. It may be older than the snapshot.
fn replay(known: &mut BTreeMap<(String, String), u64>, change: &Change) {
    let name = (change.bucket.to_string(), change.key.to_string());
    let newest = known.get(&name).copied();
    if change.kind.publishes() && newest.is_none_or(|newest| newest < change.generation) {
        known.insert(name, change.generation);
    } else if change.kind.unpublishes() && newest == Some(change.generation) {
        known.remove(&name);
    }
}

/// A snapshot: every published object with its generation.
pub(crate) fn published(catalog: &Catalog) -> BTreeMap<(String, String), u64> {
    let mut found = BTreeMap::new();
    let (buckets, rest) = catalog.buckets(0);
    assert_eq!(rest, None, "a run has few buckets");
    for bucket in buckets {
        let mut cursor = Some(ListCursor::default());
        while let Some(at) = cursor {
            let (page, next) = catalog.list(bucket.bucket.as_str(), "", at, 1_000);
            found.extend(page.into_iter().map(|object| {
                ((object.bucket.to_string(), object.key.to_string()), object.generation)
            }));
            cursor = next;
        }
    }
    found
}
