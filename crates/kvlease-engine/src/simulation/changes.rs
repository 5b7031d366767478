//! Evictions that are handed over, and deaths in the middle of a drain.

use std::{os::unix::fs::FileExt, sync::Arc};

use kvlease_cache::{Change, ChangeKind, Room};
use kvlease_sys::Digest;
use kvlease_types::{ByteSize, Extent, Miss, Mode};

use super::world::{BUCKET, CALLER, Stored, World, names};
use crate::{clock::now, room::evict_ahead};

impl World {
    /// Evicts as the engine's thread does when it is woken.
    pub(super) fn evict_ahead(&mut self) {
        let before = self.daemon().state().catalog.stats(now()).totals.evicted;
        evict_ahead(self.daemon());
        let after = self.daemon().state().catalog.stats(now()).totals.evicted;
        self.seen.evicted_ahead += after - before;
    }

    /// A tier copies objects that are to be evicted, without a lease.
    pub(super) fn copy_victims(&mut self) {
        let victims = self.daemon().state().catalog.victims(4);
        for victim in victims {
            let info = self.daemon().state().catalog.victim(&victim).expect("it was just chosen");
            let mut copy = vec![0; info.len.bytes() as usize];
            self.read(&info.extents, &mut copy);
            self.copies.push((victim, info.key.to_string(), copy));
        }
    }

    /// The tier has its copy. If the object is given up, the copy is of nothing else.
    pub(super) fn give_up(&mut self) {
        let Some((victim, key, copy)) = self.draws.take(&mut self.copies) else { return };
        let key = key.as_str();
        let copied = self.draws.one_in(2);
        if !self.daemon().state().catalog.give_up(&victim, copied) {
            self.seen.spared += 1;
            return;
        }
        let Stored { version } = self.stored[key];
        let same = copy == kvlease_testing::bytes(copy.len(), version);
        assert!(same || self.flipped.contains(&version), "the copy of {key} is of another object");
        let grants = self.daemon().acquire(&CALLER, BUCKET, &[key], Mode::Each, None);
        let expected = if copied { Miss::Elsewhere } else { Miss::Evicted };
        assert_eq!(grants.first().err(), Some(expected));
        self.seen.copied_elsewhere += u64::from(copied);
    }

    /// The daemon is killed when its catalog has changed and the readers have applied the first few
    /// changes, or none: as many are known to the next one.
    pub(super) fn die_in_drain(&mut self) {
        let daemon = Arc::clone(self.daemon());
        let mut readers = daemon.lock_readers();
        for _ in 0..1 + self.draws.below(8) {
            self.change_undrained();
        }
        let mut batch = Vec::new();
        daemon.lock_state().catalog.take_changes(&mut batch);
        let applied = self.draws.below(batch.len() as u64 + 1) as usize;
        for change in &batch[..applied] {
            readers.apply(change);
            self.learn(change);
        }
        self.seen.changes_lost += (batch.len() - applied) as u64;
        self.seen.died_in_drain += 1;
        drop(readers);
        drop(daemon);
        self.kill_and_start();
        self.listed();
    }

    /// A change of the catalog behind which no thread drains any more.
    fn change_undrained(&mut self) {
        let (key, version, bytes) = self.new_object();
        let choice = self.draws.below(4);
        let daemon = Arc::clone(self.daemon());
        let mut state = daemon.lock_state();
        match choice {
            0 => {
                let _ = state.catalog.remove(BUCKET, &key);
            }
            1 => {
                for victim in state.catalog.victims(2) {
                    assert!(state.catalog.give_up(&victim, false));
                }
            }
            _ => {
                let ((bucket, name), len) = (names(&key), ByteSize::new(bytes.len() as u64));
                let Ok(Room::Given(space)) = state.catalog.reserve(&bucket, &name, len, now())
                else {
                    return;
                };
                self.write(&space.extents, &bytes);
                state.catalog.seal(space.id, len, Digest::of(&bytes), now()).unwrap();
                self.undrained.insert(key, version);
            }
        }
    }

    /// Adds a change to the knowledge of the next daemon.
    fn learn(&mut self, change: &Change) {
        let key = change.key.to_string();
        match change.kind {
            ChangeKind::Sealed => {
                let version = self.undrained.remove(&key).expect("it was sealed undrained");
                let before = self.stored.insert(key, Stored { version });
                assert!(before.is_none(), "its name was free");
            }
            ChangeKind::Removed | ChangeKind::Evicted { .. } => {
                assert!(self.stored.remove(&key).is_some(), "it was there");
            }
            ChangeKind::Corrupt | ChangeKind::Expired | ChangeKind::Restored => {
                unreachable!("no such change was made")
            }
            ChangeKind::Freed | ChangeKind::Verified => {}
        }
    }

    fn read(&self, extents: &[Extent], mut bytes: &mut [u8]) {
        for extent in extents {
            let (here, rest) = bytes.split_at_mut(extent.len.bytes() as usize);
            self.segment.read_exact_at(here, extent.offset.bytes()).unwrap();
            bytes = rest;
        }
    }

    fn write(&self, extents: &[Extent], mut bytes: &[u8]) {
        for extent in extents {
            let (here, rest) = bytes.split_at(extent.len.bytes() as usize);
            self.segment.write_all_at(here, extent.offset.bytes()).unwrap();
            bytes = rest;
        }
    }
}
