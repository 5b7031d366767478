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

/// Objects of a report that are not named again if they are read again.
const RECENT: usize = 1024;

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
    /// Generations of objects that are named already, by their last bits.
    recent: Box<[u64; RECENT]>,
}

impl Default for Notes {
    fn default() -> Self {
        Self { objects: Vec::new(), reads: 0, recent: Box::new([0; RECENT]) }
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
        if *recent != generation && self.objects.len() < KEYS_MAX {
            *recent = generation;
            self.objects.push((slot, generation));
        }
    }

    /// Takes what is to be told; `None` if there is nothing.
    fn take(&mut self) -> Option<(Vec<(u32, u64)>, u64)> {
        let reads = mem::take(&mut self.reads);
        self.recent.fill(0);
        let objects = mem::take(&mut self.objects);
        (reads > 0 || !objects.is_empty()).then_some((objects, reads))
    }
}
