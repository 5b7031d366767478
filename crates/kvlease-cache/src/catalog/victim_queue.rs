//! Objects that were chosen for eviction, in the order in which they were chosen.

use std::collections::VecDeque;

use crate::{objects::Object, tally::Tally};

/// Entries of former victims that are not worth a walk over the queue.
const STALE_MIN: u64 = 64;

/// Objects that were chosen for eviction and still serve.
#[derive(Default, Debug)]
pub(super) struct VictimQueue {
    /// Slots and generations in the order in which they were chosen. Objects that are victims no
    /// longer keep their entry until it comes to the front.
    queue: VecDeque<(u32, u64)>,
    /// Those that were not handed over, likewise.
    waiting: VecDeque<(u32, u64)>,
    /// The victims that there are.
    pub(super) chosen: Tally,
    /// Those of them that were handed over, and will be given up.
    pub(super) handed: Tally,
}

impl VictimQueue {
    /// Adds an object, which becomes a victim.
    pub(super) fn add(&mut self, slot: u32, object: &mut Object) {
        object.victim = true;
        self.chosen.add(object);
        self.queue.push_back((slot, object.generation));
        self.waiting.push_back((slot, object.generation));
    }

    /// Notes that a victim is handed over.
    pub(super) fn hand_over(&mut self, object: &mut Object) {
        object.handed = true;
        self.handed.add(object);
    }

    /// Takes out an object, which is a victim no longer.
    pub(super) fn remove(&mut self, object: &mut Object) {
        object.victim = false;
        self.chosen.subtract(object);
        if std::mem::take(&mut object.handed) {
            self.handed.subtract(object);
        }
        if self.chosen.objects == 0 {
            self.queue.clear();
            self.waiting.clear();
        }
    }

    /// Whether most entries are of objects that are victims no longer.
    pub(super) fn is_stale(&self) -> bool {
        let longest = self.queue.len().max(self.waiting.len());
        longest as u64 > 2 * self.chosen.objects + STALE_MIN
    }

    /// Entries in the queue.
    pub(super) fn queued(&self) -> impl Iterator<Item = (u32, u64)> {
        self.queue.iter().copied()
    }

    /// Entries of victims that were not handed over.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (u32, u64)> {
        self.waiting.iter().copied()
    }

    /// Takes out the first of these. Its object may be no victim any more, or handed over.
    pub(super) fn pop_waiting(&mut self) -> Option<(u32, u64)> {
        self.waiting.pop_front()
    }

    /// Takes out the first entry. Its object may be a victim no longer.
    pub(super) fn pop(&mut self) -> Option<(u32, u64)> {
        self.queue.pop_front()
    }

    /// Drops the entries for whose slot and generation there is no victim, and those of `waiting` whose victim
    /// was handed over.
    pub(super) fn retain<'o>(&mut self, victim: impl Fn(u32, u64) -> Option<&'o Object>) {
        self.queue.retain(|(slot, generation)| victim(*slot, *generation).is_some());
        let waits = |slot, generation| victim(slot, generation).is_some_and(|v| !v.handed);
        self.waiting.retain(|(slot, generation)| waits(*slot, *generation));
    }
}
