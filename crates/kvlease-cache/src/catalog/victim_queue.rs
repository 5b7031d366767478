//! Objects that were chosen for eviction, in the order in which they were chosen.

use std::collections::VecDeque;

use super::tally::Tally;
use crate::objects::Object;

/// Entries of former victims that are not worth a walk over the queue.
const STALE_MIN: u64 = 64;

/// Objects that were chosen for eviction and still serve.
#[derive(Default, Debug)]
pub(super) struct VictimQueue {
    /// Slots and generations in the order in which they were chosen. Objects that are victims no
    /// longer keep their entry until it comes to the front.
    queue: VecDeque<(u32, u64)>,
    /// The victims that there are.
    pub(super) chosen: Tally,
}

impl VictimQueue {
    /// Adds an object, which becomes a victim.
    pub(super) fn add(&mut self, slot: u32, object: &mut Object) {
        object.victim = true;
        self.chosen.add(object);
        self.queue.push_back((slot, object.generation));
    }

    /// Takes out an object, which is a victim no longer.
    pub(super) fn remove(&mut self, object: &mut Object) {
        object.victim = false;
        self.chosen.subtract(object);
        if self.chosen.objects == 0 {
            self.queue.clear();
        }
    }

    /// Whether most entries are of objects that are victims no longer.
    pub(super) fn is_stale(&self) -> bool {
        self.queue.len() as u64 > 2 * self.chosen.objects + STALE_MIN
    }

    /// Entries in the queue.
    pub(super) fn queued(&self) -> impl Iterator<Item = (u32, u64)> {
        self.queue.iter().copied()
    }

    /// Takes out the first entry. Its object may be a victim no longer.
    pub(super) fn pop(&mut self) -> Option<(u32, u64)> {
        self.queue.pop_front()
    }

    /// Drops the entries for whose slot and generation `is_victim` is false.
    pub(super) fn retain(&mut self, is_victim: impl Fn(u32, u64) -> bool) {
        self.queue.retain(|(slot, generation)| is_victim(*slot, *generation));
    }
}
