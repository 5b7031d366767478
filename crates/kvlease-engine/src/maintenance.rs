//! The work behind the requests, each with a thread of its own: populating the arena once; again
//! and again ending expired leases, putting the segment's public name back and keeping memory ready
//! for the record; and [scrubbing](crate::scrub).

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use kvlease_shm::Link;

use crate::{clock::now, engine::Shared, scrub::scrub};

/// How often expired leases are looked for, and the public name is looked at.
const TURN: Duration = Duration::from_millis(100);

/// How many leases and quarantined extents one turn of the reaper ends under one lock.
const REAP_BATCH: usize = 1_024;

/// The threads. They end when this is stopped or dropped: whoever opens the segment after that
/// meets none that still holds it.
#[derive(Debug)]
pub(crate) struct Maintenance {
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    /// The order to stop, given by dropping the sender.
    keeping: Sender<()>,
    /// Likewise.
    scrubbing: Sender<()>,
    populating: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Maintenance {
    pub(crate) fn start(shared: &Arc<Shared>) -> io::Result<Self> {
        let (keeping, stopped) = channel::<()>();
        let kept = Arc::clone(shared);
        let keeper = thread::Builder::new().name("kvlease-keeper".into()).spawn(move || {
            let (mut linker, mut recorder) = (Linker::default(), Recorder::default());
            while stopped.recv_timeout(TURN) == Err(RecvTimeoutError::Timeout) {
                linker.turn(&kept);
                recorder.turn(&kept);
                reap(&kept);
            }
        })?;
        let populating = Arc::new(AtomicBool::new(true));
        let goes_on = Arc::clone(&populating);
        let populated = Arc::clone(shared);
        let populator = thread::Builder::new()
            .name("kvlease-populate".into())
            .spawn(move || while goes_on.load(Relaxed) && populate(&populated) {})?;
        let (scrubbing, stopped) = channel::<()>();
        let mut threads = vec![keeper, populator];
        if let Some(rate) = shared.config.scrub_rate {
            let scrubbed = Arc::clone(shared);
            let scrubber = thread::Builder::new()
                .name("kvlease-scrub".into())
                .spawn(move || scrub(&scrubbed, rate, &stopped))?;
            threads.push(scrubber);
        }
        let running = Running { keeping, populating, scrubbing, threads };
        Ok(Self { running: Mutex::new(Some(running)) })
    }

    pub(crate) fn stop(&self) {
        let running = self.running.lock().expect("nobody panics while holding it").take();
        if let Some(Running { keeping, populating, scrubbing, threads }) = running {
            drop((keeping, scrubbing));
            populating.store(false, Relaxed);
            for thread in threads {
                thread.join().expect("a panic ends the process before anyone waits for the thread");
            }
        }
    }
}

impl Drop for Maintenance {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Populates the next part of the arena. Returns whether there is more to do.
fn populate(shared: &Shared) -> bool {
    match shared.arena.populate_next() {
        Ok(progress) => {
            shared.state().catalog.grow(shared.arena.populated());
            if progress.is_complete() {
                shared.huge_pages.store(shared.arena.huge_pages_granted(), Relaxed);
                tracing::info!(populated = %progress.done, "the arena is populated");
            }
            !progress.is_complete()
        }
        Err(shortfall) => {
            shared.state().catalog.shrink_capacity(shortfall.good);
            tracing::error!(
                capacity = %shortfall.good,
                wanted = %shared.arena.capacity(),
                "the arena is smaller than configured from here on: {shortfall}"
            );
            false
        }
    }
}

/// Ends what has expired, in batches, so that no request waits long for the catalog.
pub(crate) fn reap(shared: &Shared) {
    loop {
        let expired = shared.state().catalog.expire(now(), REAP_BATCH);
        for lease in &expired {
            tracing::debug!(
                bucket = %lease.bucket, key = %lease.key, lease = %lease.id,
                "a lease expired without a release"
            );
        }
        if expired.len() < REAP_BATCH {
            return;
        }
    }
}

/// Keeps the public name, and says so once for every change.
#[derive(Default)]
struct Linker {
    failing: bool,
}

impl Linker {
    fn turn(&mut self, shared: &Shared) {
        // What is served from zeros would be wrong bytes: the next start finds out what is left.
        let whole = shared.arena.is_whole().unwrap_or(true);
        assert!(whole, "somebody cut the segment shorter: nobody may do that while it is in use");
        let failure = match shared.keep_linked() {
            Ok(Link::Intact | Link::Restored) => None,
            Ok(Link::Taken) => Some("another file has the segment's public name".to_owned()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(reason) = &failure
            && !self.failing
        {
            shared.counters.link_failed();
            tracing::error!("clients cannot attach to the segment: {reason}");
        }
        self.failing = failure.is_some();
    }
}

/// Keeps memory ready for the record, and says so once when there is none.
#[derive(Default)]
struct Recorder {
    failing: bool,
}

impl Recorder {
    fn turn(&mut self, shared: &Shared) {
        let failure = shared.record.reserve_ahead().err();
        if let Some(error) = &failure
            && !self.failing
        {
            tracing::error!(
                "objects stored from now on may be forgotten by a restart: free memory in cache.shared_memory_dir, error=`{error}`"
            );
        }
        self.failing = failure.is_some();
    }
}
