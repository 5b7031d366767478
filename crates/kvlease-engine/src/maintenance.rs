//! The work behind the requests, each with a thread of its own: populating the arena once, and
//! again and again ending expired leases and putting the segment's public name back.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::Ordering::Relaxed,
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use kvlease_shm::{Link, boot_time};

use crate::engine::Shared;

/// How often expired leases are looked for, and the public name is looked at.
const TURN: Duration = Duration::from_millis(100);

/// How many leases and quarantined extents one turn of the reaper ends under one lock.
const REAP_BATCH: usize = 1_024;

/// The threads. They end when this is stopped or dropped.
#[derive(Debug)]
pub(crate) struct Maintenance {
    /// The order to stop, given by dropping the sender, and the thread to wait for.
    keeper: Mutex<Option<(Sender<()>, JoinHandle<()>)>>,
}

impl Maintenance {
    pub(crate) fn start(shared: &Arc<Shared>) -> io::Result<Self> {
        let (stop, stopped) = channel::<()>();
        let kept = Arc::clone(shared);
        let keeper = thread::Builder::new().name("kvlease-keeper".into()).spawn(move || {
            let mut linker = Linker::default();
            while stopped.recv_timeout(TURN) == Err(RecvTimeoutError::Timeout) {
                linker.turn(&kept);
                reap(&kept);
            }
        })?;
        // Weak, and nobody waits for it: a daemon that ends needs no more memory.
        let populated = Arc::downgrade(shared);
        thread::Builder::new()
            .name("kvlease-populate".into())
            .spawn(move || while populated.upgrade().is_some_and(|shared| populate(&shared)) {})?;
        Ok(Self { keeper: Mutex::new(Some((stop, keeper))) })
    }

    pub(crate) fn stop(&self) {
        let keeper = self.keeper.lock().expect("nobody panics while holding it").take();
        if let Some((stop, thread)) = keeper {
            drop(stop);
            thread.join().expect("a panic ends the process before anyone waits for the thread");
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
            shared.state().catalog.grow(progress.done);
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
fn reap(shared: &Shared) {
    loop {
        let expired = shared.state().catalog.expire(boot_time(), REAP_BATCH);
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
