//! Notes of reads without a lease, of which the daemon is told later: it evicts what was not used.
//! What is beyond the bounds is counted and not named.

use std::{
    mem,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use kvlease_api::lane::KEYS_MAX;
use kvlease_sys::OfProcess;
use tokio::runtime::Handle;

/// Objects of a report whose further reads are counted.
const RECENT: usize = 1024;

/// Reads of an object that a report names at most: policies count no more of them.
const READS_MAX: u8 = 8;

/// Entries of a report that may be further reads of an object; the rest is for objects that it does not name yet.
const AGAIN_MAX: usize = KEYS_MAX / 2;

/// Notes of the reads of one lane.
#[derive(Debug)]
pub(super) struct Reads {
    notes: Mutex<Notes>,
    /// Whether a task tells of them.
    told: AtomicBool,
    runtime: Handle,
    process: OfProcess<()>,
}

#[derive(Debug)]
struct Notes {
    /// Slots and generations of objects that were read or touched, at most [`KEYS_MAX`].
    objects: Vec<(u32, u64)>,
    reads: u64,
    /// Objects that are named already, by the last bits of their generations.
    recent: Box<[Named; RECENT]>,
}

/// An object that a report names.
#[derive(Clone, Copy, Default, Debug)]
struct Named {
    generation: u64,
    times: u8,
}

impl Default for Notes {
    fn default() -> Self {
        Self { objects: Vec::new(), reads: 0, recent: Box::new([Named::default(); RECENT]) }
    }
}

impl Reads {
    /// No notes yet; a task of this runtime is to tell of them.
    pub(super) fn new(runtime: Handle) -> Self {
        let (notes, told) = (Mutex::default(), AtomicBool::new(false));
        Self { notes, told, runtime, process: OfProcess::new(()) }
    }

    /// The runtime of the lane.
    pub(super) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Notes that the object was used, by this number of reads. `None` in a forked child, which has no
    /// task to tell of it; true if a task has to be started.
    pub(super) fn note(&self, slot: u32, generation: u64, reads: u64) -> Option<bool> {
        self.process.get()?;
        self.lock().add(slot, generation, reads);
        Some(!self.told.swap(true, Ordering::Relaxed))
    }

    /// Takes the objects that were noted, and the number of reads; `None` if there were none.
    pub(super) fn take(&self) -> Option<(Vec<(u32, u64)>, u64)> {
        self.lock().take()
    }

    /// The task has ended: the next note starts another one.
    pub(super) fn end_task(&self) {
        self.told.store(false, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Notes> {
        // Nothing in the sections can panic half way.
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notes {
    fn add(&mut self, slot: u32, generation: u64, reads: u64) {
        self.reads += reads;
        let recent = &mut self.recent[generation as usize % RECENT];
        let is_named = recent.generation == generation;
        let max = if is_named { AGAIN_MAX } else { KEYS_MAX };
        if self.objects.len() >= max || is_named && recent.times >= READS_MAX {
            return;
        }
        *recent = Named { generation, times: if is_named { recent.times + 1 } else { 1 } };
        self.objects.push((slot, generation));
    }

    /// Takes what is to be told; `None` if there is nothing.
    fn take(&mut self) -> Option<(Vec<(u32, u64)>, u64)> {
        let reads = mem::take(&mut self.reads);
        self.recent.fill(Named::default());
        let objects = mem::take(&mut self.objects);
        (reads > 0 || !objects.is_empty()).then_some((objects, reads))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(notes: &Notes, generation: u64) -> usize {
        notes.objects.iter().filter(|(_, named)| *named == generation).count()
    }

    #[test]
    fn a_report_names_an_object_for_each_of_its_first_reads() {
        let mut notes = Notes::default();
        (0..100).for_each(|_| notes.add(7, 70, 1));
        notes.add(8, 80, 1);
        assert_eq!((named(&notes, 70), named(&notes, 80)), (usize::from(READS_MAX), 1));
        assert_eq!(notes.take().unwrap().1, 101);
        notes.add(7, 70, 1);
        assert_eq!(notes.take(), Some((vec![(7, 70)], 1)), "the next report counts anew");
        assert_eq!(notes.take(), None);
    }

    #[test]
    fn further_reads_leave_room_for_other_objects() {
        let mut notes = Notes::default();
        for _ in 0..READS_MAX {
            (1..=RECENT as u64).for_each(|generation| notes.add(0, generation, 1));
        }
        assert_eq!(notes.objects.len(), AGAIN_MAX);
        let others = AGAIN_MAX as u64 + 10;
        (0..others).for_each(|other| notes.add(0, 10_000 + other, 1));
        assert_eq!(notes.objects.len(), KEYS_MAX);
        assert_eq!(named(&notes, 10_000), 1);
        assert_eq!(notes.take().unwrap().1, u64::from(READS_MAX) * RECENT as u64 + others);
    }
}
