//! Worker: a thread that moves the pieces of several objects at a time.

mod load;
mod store;

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    sync::{
        Arc,
        mpsc::{Receiver, Sender},
    },
};

use kvlease_sys::IoBuffer;
use kvlease_tier::{SourceChanged, TierError};

use crate::{
    commit::{Commit, RemovalCommit},
    device::{Queue, Wake},
    pieces::BUFFER_LEN,
    shared::Shared,
    state::Removed,
};
use load::Load;
pub(crate) use load::LoadJob;
use store::Store;
pub(crate) use store::StoreJob;

/// One of this many buffers is left to stores by loads.
const KEPT_FOR_STORES: usize = 4;

/// Work of a worker.
pub(crate) enum Job {
    Load(LoadJob),
    Store(StoreJob),
    /// Nothing more comes.
    Stop,
}

/// Thread that moves the pieces of several objects at a time.
pub(crate) struct Worker {
    shared: Arc<Shared>,
    inbox: Receiver<Job>,
    commits: Sender<Commit>,
    queue: Box<dyn Queue>,
    depth: usize,
    free: Vec<IoBuffer>,
    /// By their numbers, so oldest first.
    loads: BTreeMap<u64, Load>,
    stores: BTreeMap<u64, Store>,
    jobs: u64,
    is_stopping: bool,
}

impl Worker {
    pub(crate) fn new(
        shared: Arc<Shared>,
        inbox: Receiver<Job>,
        commits: Sender<Commit>,
        depth: usize,
    ) -> io::Result<Self> {
        let free = IoBuffer::allocate(depth, BUFFER_LEN)?;
        let queue = shared.device.queue(&free)?;
        Ok(Self {
            shared,
            inbox,
            commits,
            queue,
            depth,
            free,
            loads: BTreeMap::new(),
            stores: BTreeMap::new(),
            jobs: 0,
            is_stopping: false,
        })
    }

    /// Handle that has the worker look into its inbox.
    pub(crate) fn waker(&self) -> Arc<dyn Wake> {
        self.queue.waker()
    }

    pub(crate) fn run(mut self) {
        let mut completed = Vec::new();
        loop {
            self.take_jobs();
            self.start_loads();
            self.start_stores();
            self.end_jobs();
            if self.is_stopping && self.loads.is_empty() && self.stores.is_empty() {
                return;
            }
            self.queue.wait(&mut completed);
            for done in completed.drain(..) {
                let job = done.token.job;
                if let Some(load) = self.loads.get_mut(&job) {
                    load.take(done, &self.shared, &mut self.free);
                    // Before the next piece is copied: the device is not to wait for that.
                    self.start_loads();
                } else {
                    let store = self.stores.get_mut(&job).expect("a job stays until it is over");
                    store.take(done, &mut self.free);
                }
            }
        }
    }

    fn take_jobs(&mut self) {
        for job in self.inbox.try_iter() {
            self.jobs += 1;
            match job {
                Job::Load(job) => {
                    let load = Load::start(job, &self.shared);
                    self.loads.extend(load.map(|load| (self.jobs, load)));
                }
                Job::Store(job) => {
                    self.shared.begin_store();
                    self.stores.insert(self.jobs, Store::new(job));
                }
                Job::Stop => self.is_stopping = true,
            }
        }
        if self.is_stopping {
            self.stores.values_mut().for_each(Store::close);
        }
    }

    fn start_loads(&mut self) {
        let kept = if self.stores.is_empty() { 0 } else { self.depth / KEPT_FOR_STORES };
        let takes_shared = self.queue.takes_shared();
        for (job, load) in &mut self.loads {
            load.check_cancelled();
            while load.is_hungry() && self.free.len() > kept {
                let buffer = self.free.pop().expect("there are more than are kept");
                self.queue.submit(load.next_transfer(*job, buffer, &self.shared, takes_shared));
            }
        }
    }

    fn start_stores(&mut self) {
        let takes_shared = self.queue.takes_shared();
        for (job, store) in &mut self.stores {
            store.check_cancelled();
            while !self.free.is_empty() && store.is_hungry(&self.shared) {
                let buffer = self.free.pop().expect("one is free");
                match store.next_transfer(*job, buffer, &self.shared, takes_shared) {
                    Ok(transfer) => self.queue.submit(transfer),
                    Err(buffer) => self.free.push(buffer),
                }
            }
        }
    }

    fn end_jobs(&mut self) {
        for (_, load) in self.loads.extract_if(.., |_, load| load.is_over()) {
            let place = load.pinned.place;
            let fingerprint = load.fingerprint;
            let ended = load.end();
            self.shared.unpin(place.segment);
            let load::Ended { reply, result } = ended;
            if let Err(error @ (TierError::Corrupt { .. } | TierError::Foreign { .. })) = result {
                // Dropped for good first: it is not to come back at the next start.
                let removed = VecDeque::from([Removed { fingerprint, only_at: Some(place) }]);
                let answer = Box::new(move |_| drop(reply.send(Err(error))));
                let _ = self.commits.send(Commit::Removal(RemovalCommit { removed, answer }));
            } else {
                // Without a receiver the caller gave up.
                let _ = reply.send(result);
            }
        }
        for (_, store) in self.stores.extract_if(.., |_, store| store.is_over()) {
            self.shared.end_store();
            // The commit thread ends after the workers.
            match store.end(&self.shared) {
                store::Ended::Written(commit) => {
                    let _ = self.commits.send(Commit::Object(commit));
                }
                store::Ended::Changed(commit, store::Changed { removed, reply }) => {
                    let answer = Box::new(move |_| drop(reply.send(Err(SourceChanged.into()))));
                    let removal = RemovalCommit { removed: VecDeque::from([removed]), answer };
                    let _ = self.commits.send(Commit::Changed(commit, removal));
                }
                store::Ended::Answered => {}
            }
        }
    }
}
