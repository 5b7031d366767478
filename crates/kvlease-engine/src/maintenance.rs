//! Maintenance behind the requests, with a thread for each kind: populating the arena once; ticks
//! that end expired leases, remove expired objects, put the segment's public name back and keep memory ready for the manifest;
//! [eviction ahead of need](crate::room); [scrubbing](crate::scrub); [reports](crate::reports) of
//! clients; [events](crate::events) for subscribers; the [capture](crate::capture); and the
//! [live curve](crate::references).

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::Ordering::Relaxed,
        mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use kvlease_arena::LinkStatus;
use kvlease_types::ByteSize;

use crate::{
    capture::write_capture, clock::now, events::collect, references::follow_references,
    reports::look_into_reports, room::keep_room, scrub::scrub, shared::Shared,
};

/// Time between two ticks.
const TICK: Duration = Duration::from_millis(100);

/// How many leases and quarantined extents one tick ends under one lock.
const REAP_BATCH: usize = 1_024;

/// The threads. They end when this is stopped or dropped: none of them has the segment open after
/// that.
#[derive(Debug)]
pub(crate) struct Maintenance {
    running: Mutex<Running>,
    /// With the signals of the threads that wait for one.
    shared: Arc<Shared>,
}

#[derive(Default, Debug)]
struct Running {
    /// The orders to stop, given by dropping them.
    orders: Vec<Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

impl Maintenance {
    pub(crate) fn start(shared: &Arc<Shared>) -> io::Result<Self> {
        let mut running = Running::default();
        running.start("kvlease-tick", shared, tick)?;
        if shared.config.catalog.free_target > ByteSize::ZERO {
            running.start("kvlease-evict", shared, keep_room)?;
        }
        running.start("kvlease-populate", shared, |shared, stopped| {
            while stopped.try_recv() == Err(TryRecvError::Empty) && populate(shared) {}
        })?;
        if let Some(rate) = shared.config.scrub_rate {
            running.start("kvlease-scrub", shared, move |shared, stopped| {
                scrub(shared, rate, stopped);
            })?;
        }
        running.start("kvlease-reports", shared, look_into_reports)?;
        running.start("kvlease-events", shared, collect)?;
        if shared.capture.is_some() {
            running.start("kvlease-capture", shared, write_capture)?;
        }
        if shared.curve.is_some() {
            running.start("kvlease-curve", shared, follow_references)?;
        }
        Ok(Self { running: Mutex::new(running), shared: Arc::clone(shared) })
    }

    pub(crate) fn stop(&self) {
        let mut running = self.running.lock().expect("no thread panics while holding it");
        running.orders.clear();
        self.shared.room.request();
        self.shared.reports.wake();
        self.shared.events.stop();
        if let Some(capture) = &self.shared.capture {
            capture.wake();
        }
        for thread in running.threads.drain(..) {
            thread.join().expect("a panic ends the process before the engine waits for the thread");
        }
    }
}

impl Running {
    fn start(
        &mut self,
        name: &str,
        shared: &Arc<Shared>,
        work: impl FnOnce(&Shared, &Receiver<()>) + Send + 'static,
    ) -> io::Result<()> {
        let (order, stopped) = channel();
        let shared = Arc::clone(shared);
        let thread = thread::Builder::new().name(name.into());
        self.threads.push(thread.spawn(move || work(&shared, &stopped))?);
        self.orders.push(order);
        Ok(())
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

/// Runs the ticks.
fn tick(shared: &Shared, stopped: &Receiver<()>) {
    let (mut unlinked, mut unrecorded) = (Trouble::default(), Trouble::default());
    let mut next = 0;
    while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
        keep_linked(shared, &mut unlinked);
        keep_room_in_manifest(shared, &mut unrecorded);
        reap(shared);
        shared.remove_expired(&mut next);
    }
}

fn keep_linked(shared: &Shared, trouble: &mut Trouble) {
    // What is served from zeros would be wrong bytes: the next start finds out what is left.
    let whole = shared.arena.is_whole().unwrap_or(true);
    assert!(whole, "the segment was truncated: it must stay as long as it is while it is in use");
    let reason = match shared.keep_linked() {
        Ok(LinkStatus::Intact | LinkStatus::Restored) => None,
        Ok(LinkStatus::Taken) => Some("another file has the segment's public name".to_owned()),
        Err(error) => Some(error.to_string()),
    };
    match trouble.turn(reason) {
        Turn::Begins(reason) => {
            shared.counters.link_failures.increment();
            tracing::error!("clients cannot attach to the segment: {reason}");
        }
        Turn::Ends => tracing::info!("clients can attach to the segment again"),
        Turn::None => {}
    }
}

fn keep_room_in_manifest(shared: &Shared, trouble: &mut Trouble) {
    match trouble.turn(shared.manifest.reserve_ahead().err()) {
        Turn::Begins(error) => tracing::error!(
            "objects stored from now on may be forgotten by a restart: free memory in cache.shared_memory_dir, error=`{error}`"
        ),
        Turn::Ends => tracing::info!("objects stored from now on are kept for a restart again"),
        Turn::None => {}
    }
}

/// Fault that may last from tick to tick. Its begin and its end are logged once each.
#[derive(Default)]
struct Trouble {
    lasts: bool,
}

/// Change of a fault from one tick to the next.
enum Turn<R> {
    None,
    /// With the reason.
    Begins(R),
    Ends,
}

impl Trouble {
    /// Change since the last time, with the reason if it goes wrong now.
    fn turn<R>(&mut self, reason: Option<R>) -> Turn<R> {
        let lasted = std::mem::replace(&mut self.lasts, reason.is_some());
        match (lasted, reason) {
            (false, Some(reason)) => Turn::Begins(reason),
            (true, None) => Turn::Ends,
            _ => Turn::None,
        }
    }
}
