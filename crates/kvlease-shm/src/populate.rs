//! Getting the arena's memory for real, step by step, before anybody writes to it.
//!
//! A file's length promises nothing: on a full tmpfs the first touch of a page that does not
//! exist kills the process with `SIGBUS`. So pages are first *reserved* with `fallocate`, which is
//! quick and says so when there are none left, then *populated* with `MADV_POPULATE_WRITE`, which
//! clears and maps them and likewise answers with an error instead of a signal. Neither changes
//! bytes that are there already, so a reopened arena goes through the same two passes.
//!
//! On a tmpfs mounted with `huge=advise` the order is another: `fallocate` knows nothing of the
//! mapping's advice and takes small pages, which stay small. There reserving *is* populating, and
//! with huge pages it is the faster of the two (`benches/populate.rs`). One thread does it all:
//! a second one gains nothing that could be relied on, since the kernel's own locks are in the way.

use std::{
    hint::black_box,
    io,
    os::fd::AsFd,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
};

use kvlease_types::{ByteSize, Extent, Offset};
use rustix::{
    fs::{FallocateFlags, SeekFrom, fallocate, fstat, seek},
    io::Errno,
    mm::Advice,
};

use crate::{mapping::Mapping, segment::PAGE};

/// How much one call reserves: about a tenth of a second of work.
const RESERVE_STEP: u64 = 256 << 20;
/// How much one call populates: likewise.
const POPULATE_STEP: u64 = 64 << 20;
/// The unit of `st_blocks`.
const BLOCK: u64 = 512;
/// The smallest step that is still tried when a larger one fails.
const STEP_MIN: u64 = 2 << 20;

/// How far a pass over the arena has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// Bytes from the start of the arena that are done.
    pub done: ByteSize,
    /// Bytes that there will be: the capacity, or less after a [`Shortfall`].
    pub total: ByteSize,
}

impl Progress {
    /// Whether nothing is left to do.
    pub fn is_complete(self) -> bool {
        self.done >= self.total
    }
}

/// Memory ran out on the way. The first `good` bytes of the arena are there and stay; later calls
/// take them for the whole.
#[derive(Debug, thiserror::Error)]
#[error(
    "`capacity` cannot be had in full: free memory, or set at most {good}, \
     capacity=`{capacity}` good=`{good}`"
)]
pub struct Shortfall {
    /// Bytes from the start of the arena that are there.
    pub good: ByteSize,
    /// Bytes that were wanted.
    pub capacity: ByteSize,
    /// What the kernel said.
    pub source: io::Error,
}

/// Both passes over one arena. One thread at a time makes progress; everybody may ask for it.
#[derive(Debug)]
pub(crate) struct Population {
    passes: Mutex<Passes>,
    populated: AtomicU64,
    /// Bytes from the start of the file that an earlier daemon populated: they have their memory,
    /// and only the mapping of this process lacks their pages.
    present: u64,
}

#[derive(Debug)]
struct Passes {
    reserved: u64,
    populated: u64,
    /// Where both passes end.
    total: u64,
    /// Reserve through the mapping, so that its advice is heeded.
    through_mapping: bool,
}

impl Population {
    /// Of the file's `capacity`, only what is in `file` already has its memory. `through_mapping`
    /// is for a tmpfs that heeds advice.
    pub(crate) fn new(
        file: impl AsFd,
        capacity: ByteSize,
        through_mapping: bool,
    ) -> io::Result<Self> {
        let total = capacity.bytes();
        let present = present(file)?.min(total);
        let passes = Passes { reserved: 0, populated: 0, total, through_mapping };
        Ok(Self { passes: Mutex::new(passes), populated: AtomicU64::new(0), present })
    }

    /// Bytes from the start of the arena that can be written without lack of memory.
    pub(crate) fn populated(&self) -> ByteSize {
        ByteSize::new(self.populated.load(Ordering::Acquire).max(self.present))
    }

    /// Reserves the next step.
    pub(crate) fn reserve(
        &self,
        file: impl AsFd,
        mapping: &Mapping,
    ) -> Result<Progress, Shortfall> {
        let mut passes = self.lock();
        passes.reserve(&file, mapping)
    }

    /// Populates the next step, reserving it first if that was not done.
    pub(crate) fn populate(
        &self,
        file: impl AsFd,
        mapping: &Mapping,
    ) -> Result<Progress, Shortfall> {
        let mut passes = self.lock();
        if passes.reserved == passes.populated {
            passes.reserve(&file, mapping)?;
        }
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

    fn lock(&self) -> MutexGuard<'_, Passes> {
        // The counters are valid at every instant, so a panic of another thread leaves them so.
        self.passes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Passes {
    fn reserve(&mut self, file: &impl AsFd, mapping: &Mapping) -> Result<Progress, Shortfall> {
        let through_mapping = self.through_mapping;
        let (reserved, failure) = advance(self.reserved, self.total, RESERVE_STEP, |part| {
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

/// Bytes from the start of a file that have their memory: up to its first hole.
fn present(file: impl AsFd) -> io::Result<u64> {
    let stat = fstat(&file)?;
    let (len, blocks) = (stat.st_size.cast_unsigned(), stat.st_blocks.cast_unsigned());
    if blocks.saturating_mul(BLOCK) >= len {
        // The kernel would walk over all pages to find no hole.
        return Ok(len / PAGE * PAGE);
    }
    match seek(file, SeekFrom::Hole(0)) {
        Ok(len) => Ok(len / PAGE * PAGE),
        Err(Errno::NXIO) => Ok(0),
        Err(errno) => Err(errno.into()),
    }
}

/// Does one step, or as many smaller ones as still succeed when memory runs short. Returns how
/// far it came, and the error that it could not get past.
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
            // A signal undid the step: a shorter one is likelier to end before the next signal.
            Err(Errno::INTR | Errno::AGAIN) => step = (step / 2).max(STEP_MIN),
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
        match mapping.advise(part, Advice::LinuxPopulateWrite) {
            // Linux before 5.14.
            Err(Errno::INVAL) => {}
            outcome => return outcome,
        }
    }
    fallocate(file, FallocateFlags::empty(), part.offset.bytes(), part.len.bytes())
}

fn populate_part(mapping: &Mapping, part: Extent) -> Result<(), Errno> {
    match mapping.advise(part, Advice::LinuxPopulateWrite) {
        Ok(()) => Ok(()),
        Err(Errno::INVAL) => {
            // Linux before 5.14. The part is reserved, so that touching it cannot fail.
            touch(mapping, part);
            Ok(())
        }
        Err(errno) => Err(errno),
    }
}

/// Faults in every page of a part by a write that changes nothing.
fn touch(mapping: &Mapping, part: Extent) {
    let start = mapping.locate(part).expect("the passes stay within the arena");
    for offset in (0..part.len.bytes()).step_by(PAGE as usize) {
        // SAFETY: the byte is within the mapping, which lives longer than this reference, and an
        // atomic access races with nobody.
        let byte = unsafe { AtomicU8::from_ptr(start.add(offset as usize)) };
        // An `or` of a known zero would be compiled to a load, which reserves nothing.
        byte.fetch_or(black_box(0), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::Access;

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

    #[test]
    fn touching_pages_maps_them_and_changes_nothing() {
        let file = tempfile::tempfile_in("/dev/shm").unwrap();
        let len = 8 * PAGE as usize;
        let bytes: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
        std::fs::File::set_len(&file, len as u64).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &bytes[..len / 2], 0).unwrap();
        let mapping = Mapping::new(file.as_fd(), len, Access::ReadWrite).unwrap();
        touch(&mapping, Extent::new(Offset::new(0), ByteSize::new(len as u64)));
        let mut back = vec![1; len];
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut back, 0).unwrap();
        assert_eq!(back[..len / 2], bytes[..len / 2]);
        assert_eq!(back[len / 2..], vec![0; len / 2]);
        assert_eq!(rustix::fs::fstat(&file).unwrap().st_blocks as u64 * 512, len as u64);
    }
}
