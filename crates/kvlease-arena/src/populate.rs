//! Population of the arena with memory, step by step, ahead of every write.
//!
//! The length of a file promises no memory: on a full tmpfs the first access to a missing page kills
//! the process with `SIGBUS`. So pages are first *reserved* with `fallocate`, which is quick and
//! fails when there are none left, then *populated* with `MADV_POPULATE_WRITE`, which clears and maps
//! them and likewise fails instead of raising a signal. Neither changes existing bytes, so a reopened
//! arena goes through the same two passes.
//!
//! On a tmpfs mounted with `huge=advise` the order is different: `fallocate` ignores the mapping's
//! advice and takes small pages, which stay small. There reserving *is* populating, and with huge
//! pages it is the faster of the two (`benches/populate.rs`). One thread does all of it: a second one
//! gains nothing reliable, since the kernel's own locks are in the way.

use std::{
    io,
    os::fd::AsFd,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use kvlease_sys::{Advice, Mapping, PAGE};
use kvlease_types::{ByteSize, Extent, Offset};
use rustix::{
    fs::{FallocateFlags, SeekFrom, fallocate, fstat, seek},
    io::Errno,
};

/// Bytes that one call reserves: about a tenth of a second of work.
const RESERVE_STEP: u64 = 256 << 20;
/// Bytes that one call populates: likewise.
const POPULATE_STEP: u64 = 64 << 20;
/// Unit of `st_blocks`, in bytes.
const BLOCK: u64 = 512;
/// Smallest step, in bytes, that is still tried when a larger one fails.
const STEP_MIN: u64 = 2 << 20;

/// Progress of a pass over the arena.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// Bytes from the start of the arena that are done.
    pub done: ByteSize,
    /// Bytes in the end: the capacity, or less after a [`Shortfall`].
    pub total: ByteSize,
}

impl Progress {
    /// True if nothing is left to do.
    pub fn is_complete(self) -> bool {
        self.done >= self.total
    }
}

/// Lack of memory before the end of the arena. Its first `good` bytes have their memory and keep it;
/// later calls take them for the whole.
#[derive(Debug, thiserror::Error)]
#[error(
    "`capacity` is not available in full: free memory, or set at most {good}, \
     capacity=`{capacity}` good=`{good}`"
)]
pub struct Shortfall {
    /// Bytes from the start of the arena that have their memory.
    pub good: ByteSize,
    /// Bytes that were configured.
    pub capacity: ByteSize,
    /// Error of the kernel.
    pub source: io::Error,
}

/// Both passes over one arena. Any thread may call; one at a time makes progress.
#[derive(Debug)]
pub(crate) struct Population {
    passes: Mutex<Passes>,
    populated: AtomicU64,
    /// Bytes from the start of the file that an earlier daemon populated: they have their memory, and
    /// only the mapping of this process lacks their pages.
    present: u64,
}

#[derive(Debug)]
struct Passes {
    reserved: u64,
    populated: u64,
    /// End of both passes.
    total: u64,
    /// End of what may be populated: the rest is a shortfall.
    allowed: u64,
    /// Reserve through the mapping, so that its advice counts.
    through_mapping: bool,
}

impl Population {
    /// Passes over the file's `capacity`, of which the part before the first hole has its memory.
    /// `through_mapping` is for a tmpfs that follows advice.
    pub(crate) fn new(
        file: impl AsFd,
        capacity: ByteSize,
        through_mapping: bool,
    ) -> io::Result<Self> {
        let total = capacity.bytes();
        let present = present(file)?.min(total);
        let passes = Passes { reserved: 0, populated: 0, total, allowed: total, through_mapping };
        Ok(Self { passes: Mutex::new(passes), populated: AtomicU64::new(0), present })
    }

    /// Bytes from the start of the arena that have their memory.
    pub(crate) fn populated(&self) -> ByteSize {
        ByteSize::new(self.populated.load(Ordering::Acquire).max(self.present))
    }

    /// Populates the next step, and reserves the next large one first when the last is used up.
    pub(crate) fn populate(
        &self,
        file: impl AsFd,
        mapping: &Mapping,
    ) -> Result<Progress, Shortfall> {
        let mut passes = self.lock();
        if passes.reserved == passes.populated {
            passes.reserve(&file, mapping)?;
        }
        // Within the reserved part a failure is rare: a truncation, or memory that was taken away.
        let end = passes.reserved;
        let (populated, failure) =
            advance(passes.populated, end, POPULATE_STEP, |part| populate_part(mapping, part));
        passes.populated = populated;
        self.populated.store(populated, Ordering::Release);
        match failure {
            Some(source) => Err(passes.cut(populated, source)),
            None => Ok(passes.progress(populated)),
        }
    }

    /// Lets no more than the first `most` bytes be populated, and what has its memory anyway.
    pub(crate) fn limit(&self, most: ByteSize) {
        let mut passes = self.lock();
        passes.allowed = most.bytes().max(self.present).max(passes.reserved) / PAGE * PAGE;
    }

    fn lock(&self) -> MutexGuard<'_, Passes> {
        // The counters are valid at every instant, also after a panic of another thread.
        self.passes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Passes {
    fn reserve(&mut self, file: &impl AsFd, mapping: &Mapping) -> Result<Progress, Shortfall> {
        let (through_mapping, end) = (self.through_mapping, self.total.min(self.allowed));
        if self.reserved == end && end < self.total {
            return Err(self.cut(end, Errno::NOMEM));
        }
        let (reserved, failure) = advance(self.reserved, end, RESERVE_STEP, |part| {
            reserve_part(file, mapping, part, through_mapping)
        });
        self.reserved = reserved;
        match failure {
            Some(source) => Err(self.cut(reserved, source)),
            None => Ok(self.progress(reserved)),
        }
    }

    fn progress(&self, done: u64) -> Progress {
        Progress { done: ByteSize::new(done), total: ByteSize::new(self.total) }
    }

    fn cut(&mut self, good: u64, source: Errno) -> Shortfall {
        let capacity = ByteSize::new(self.total);
        self.total = good;
        self.reserved = self.reserved.min(good);
        Shortfall { good: ByteSize::new(good), capacity, source: source.into() }
    }
}

/// Bytes from the start of a file that have their memory: those before its first hole.
fn present(file: impl AsFd) -> io::Result<u64> {
    let stat = fstat(&file)?;
    let (len, blocks) = (stat.st_size.cast_unsigned(), stat.st_blocks.cast_unsigned());
    if blocks.saturating_mul(BLOCK) >= len {
        // No hole: the search would walk over all pages.
        return Ok(len / PAGE * PAGE);
    }
    match seek(file, SeekFrom::Hole(0)) {
        Ok(len) => Ok(len / PAGE * PAGE),
        Err(Errno::NXIO) => Ok(0),
        Err(errno) => Err(errno.into()),
    }
}

/// Does one step, or as many smaller ones as succeed when memory is short. Returns the end of the
/// part that is done, and the error that stopped the pass.
fn advance(
    start: u64,
    end: u64,
    step: u64,
    mut work: impl FnMut(Extent) -> Result<(), Errno>,
) -> (u64, Option<Errno>) {
    let goal = end.min(start.saturating_add(step));
    let (mut done, mut step) = (start, step);
    while done < goal {
        let len = step.min(goal - done);
        match work(Extent::new(Offset::new(done), ByteSize::new(len))) {
            Ok(()) => done += len,
            // A signal interrupted the step: a shorter one is likelier to end before the next.
            Err(Errno::INTR | Errno::AGAIN) => step = (step / 2).max(STEP_MIN),
            // The step does not fit: the half of it may.
            Err(_) if len > STEP_MIN => step = (len / 2).next_multiple_of(PAGE),
            Err(errno) => return (done, Some(errno)),
        }
    }
    (done, None)
}

fn reserve_part(
    file: &impl AsFd,
    mapping: &Mapping,
    part: Extent,
    through_mapping: bool,
) -> Result<(), Errno> {
    if through_mapping {
        match mapping.advise(part, Advice::PopulateWrite) {
            // Linux before 5.14.
            Err(Errno::INVAL) => {}
            outcome => return outcome,
        }
    }
    fallocate(file, FallocateFlags::empty(), part.offset.bytes(), part.len.bytes())
}

fn populate_part(mapping: &Mapping, part: Extent) -> Result<(), Errno> {
    match mapping.advise(part, Advice::PopulateWrite) {
        Ok(()) => Ok(()),
        Err(Errno::INVAL) => {
            // Linux before 5.14. The part is reserved, so that touching it cannot fail.
            mapping.touch(part);
            Ok(())
        }
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use kvlease_sys::Access;

    use super::*;

    #[test]
    fn a_pass_halves_its_steps_before_it_gives_up() {
        let room = 5 * STEP_MIN;
        let mut tried = Vec::new();
        let (done, failure) = advance(0, 64 * STEP_MIN, 16 * STEP_MIN, |part| {
            tried.push(part.len.bytes() / STEP_MIN);
            if part.end().unwrap().bytes() <= room { Ok(()) } else { Err(Errno::NOSPC) }
        });
        assert_eq!((done, failure), (room, Some(Errno::NOSPC)));
        assert_eq!(tried, [16, 8, 4, 4, 2, 1, 1]);
    }

    #[test]
    fn an_interrupted_step_is_tried_again() {
        let mut interruptions = 3;
        let (done, failure) = advance(0, 100, 64, |_| {
            if interruptions == 0 {
                return Ok(());
            }
            interruptions -= 1;
            Err(Errno::INTR)
        });
        assert_eq!((done, failure), (64, None));
    }

    const LEN: u64 = 4 * STEP_MIN;

    fn capacity() -> ByteSize {
        ByteSize::new(LEN)
    }

    fn mapped() -> (File, Mapping) {
        let file = tempfile::tempfile_in("/dev/shm").unwrap();
        file.set_len(LEN).unwrap();
        let mapping = Mapping::new(file.as_fd(), LEN as usize, Access::ReadWrite).unwrap();
        (file, mapping)
    }

    fn memory_of(file: &File) -> u64 {
        fstat(file).unwrap().st_blocks.cast_unsigned() * BLOCK
    }

    #[test]
    fn reserving_takes_the_memory_that_populating_maps() {
        let (file, mapping) = mapped();
        let population = Population::new(&file, capacity(), false).unwrap();
        assert_eq!((memory_of(&file), population.populated()), (0, ByteSize::ZERO));
        let reserved = population.lock().reserve(&file, &mapping).unwrap();
        assert!(reserved.is_complete());
        assert_eq!((memory_of(&file), population.populated()), (LEN, ByteSize::ZERO));
        let progress = population.populate(&file, &mapping).unwrap();
        assert_eq!((progress.done, progress.total), (capacity(), capacity()));
        assert_eq!(population.populated(), capacity());
        let further = population.populate(&file, &mapping).unwrap();
        assert!(further.is_complete(), "further steps change nothing");
    }

    #[test]
    fn what_may_not_be_populated_is_a_shortfall() {
        let (file, mapping) = mapped();
        let population = Population::new(&file, capacity(), false).unwrap();
        population.limit(ByteSize::new(STEP_MIN + 1));
        let good = ByteSize::new(STEP_MIN);
        assert!(!population.populate(&file, &mapping).unwrap().is_complete());
        let shortfall = population.populate(&file, &mapping).unwrap_err();
        assert_eq!((shortfall.good, shortfall.capacity), (good, capacity()));
        assert!(population.populate(&file, &mapping).unwrap().is_complete());
        assert_eq!((population.populated(), memory_of(&file)), (good, STEP_MIN));
    }

    #[test]
    fn a_segment_that_a_peer_truncates_is_a_shortfall_and_no_signal() {
        let (file, mapping) = mapped();
        let population = Population::new(&file, capacity(), false).unwrap();
        assert!(population.lock().reserve(&file, &mapping).unwrap().is_complete());
        let left = ByteSize::new(LEN / 2);
        file.set_len(left.bytes()).unwrap();
        let shortfall = population.populate(&file, &mapping).unwrap_err();
        assert_eq!((shortfall.good, shortfall.capacity), (left, capacity()));
        assert_eq!(population.populated(), left);
        assert!(shortfall.to_string().contains("good=`4MiB`"), "{shortfall}");
        let progress = population.populate(&file, &mapping).unwrap();
        assert!(progress.is_complete() && progress.total == left, "the rest is given up");
    }
}
