//! Threads of a tier, and the ways to them.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread::{self, JoinHandle},
};

use kvlease_tier::TierError;
use tokio::sync::OwnedSemaphorePermit;

use crate::{
    commit::{Commit, CommitWaker, Committer, RemovalCommit},
    device::Wake,
    list::{ListJob, Lister},
    maintenance::{Ending, Maintenance, Stop},
    shared::Shared,
    ticket::Ticket,
    worker::{Job, Worker},
};

/// Threads of a tier, and the ways to them.
pub(crate) struct Threads {
    shared: Arc<Shared>,
    workers: Vec<ToWorker>,
    commits: Sender<Commit>,
    lists: Mutex<Option<Sender<ListJob>>>,
    stop: Arc<Stop>,
    handles: Mutex<Option<Handles>>,
}

/// Wakes a worker on drop, so that it finds out that the caller gave its job up.
pub(crate) struct CancelGuard(Option<Arc<dyn Wake>>);

impl CancelGuard {
    /// The job was answered.
    pub(crate) fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for CancelGuard {
    fn drop(&mut self) {
        if let Some(waker) = self.0.take() {
            waker.wake();
        }
    }
}

/// Way to a worker.
struct ToWorker {
    jobs: Sender<Job>,
    waker: Arc<dyn Wake>,
    /// Bytes of its jobs.
    outstanding: Arc<AtomicU64>,
}

/// Threads to be joined, in this order.
struct Handles {
    workers: Vec<JoinHandle<()>>,
    committer: JoinHandle<()>,
    maintenance: JoinHandle<()>,
    lister: JoinHandle<()>,
}

impl Threads {
    /// Starts all threads.
    pub(crate) fn start(
        shared: &Arc<Shared>,
        maintenance_inbox: Receiver<()>,
        workers: usize,
        depth: usize,
    ) -> io::Result<Self> {
        let (commits, commit_inbox) = mpsc::channel();
        let mut to_workers = Vec::new();
        let mut worker_handles = Vec::new();
        for _ in 0..workers.max(1) {
            let (jobs, inbox) = mpsc::channel();
            let worker = Worker::new(Arc::clone(shared), inbox, commits.clone(), depth.max(1))?;
            let outstanding = Arc::new(AtomicU64::new(0));
            to_workers.push(ToWorker { jobs, waker: worker.waker(), outstanding });
            worker_handles.push(spawn("kvlease-nvme", move || worker.run())?);
        }
        let mut waiting: Vec<Arc<dyn Wake>> = vec![Arc::new(CommitWaker(commits.clone()))];
        waiting.extend(to_workers.iter().map(|worker| Arc::clone(&worker.waker)));
        shared.set_waiting(waiting);
        let committer = Committer::new(Arc::clone(shared), commit_inbox)?;
        let stop = Arc::new(Stop::default());
        let maintenance =
            Maintenance::new(Arc::clone(shared), maintenance_inbox, Arc::clone(&stop))?;
        let (lists, list_inbox) = mpsc::channel();
        let lister = Lister::new(Arc::clone(shared), list_inbox)?;
        let handles = Handles {
            workers: worker_handles,
            committer: spawn("kvlease-nvme-commit", move || committer.run())?,
            maintenance: spawn("kvlease-nvme-log", move || maintenance.run())?,
            lister: spawn("kvlease-nvme-list", move || lister.run())?,
        };
        Ok(Self {
            shared: Arc::clone(shared),
            workers: to_workers,
            commits,
            lists: Mutex::new(Some(lists)),
            stop,
            handles: Mutex::new(Some(handles)),
        })
    }

    /// Gives a job to the worker with the least to do. The guard has the worker look again when the
    /// caller gives the job up.
    pub(crate) fn submit(
        &self,
        permit: OwnedSemaphorePermit,
        bytes: u64,
        job: impl FnOnce(Ticket) -> Job,
    ) -> Result<CancelGuard, TierError> {
        let load = |worker: &&ToWorker| worker.outstanding.load(Ordering::Relaxed);
        let worker = self.workers.iter().min_by_key(load).expect("there is one at least");
        let job = job(Ticket::new(permit, &worker.outstanding, bytes));
        worker.jobs.send(job).map_err(|_| TierError::Closed)?;
        worker.waker.wake();
        Ok(CancelGuard(Some(Arc::clone(&worker.waker))))
    }

    pub(crate) fn remove(&self, removal: RemovalCommit) -> Result<(), TierError> {
        self.commits.send(Commit::Removal(removal)).map_err(|_| TierError::Closed)
    }

    pub(crate) fn list(&self, job: ListJob) -> Result<(), TierError> {
        let lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        let lister = lists.as_ref().ok_or(TierError::Closed)?;
        lister.send(job).map_err(|_| TierError::Closed)
    }

    /// Ends all threads once their work is done. Later calls fail.
    pub(crate) fn end(&self, ending: Ending) {
        let handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(handles) = handles else { return };
        for worker in &self.workers {
            // One that ended by a panic has reported it.
            let _ = worker.jobs.send(Job::Stop);
            worker.waker.wake();
        }
        handles.workers.into_iter().for_each(join);
        let _ = self.commits.send(Commit::Stop);
        join(handles.committer);
        self.stop.set(ending);
        self.shared.wake_maintenance();
        join(handles.maintenance);
        *self.lists.lock().unwrap_or_else(PoisonError::into_inner) = None;
        join(handles.lister);
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.end(Ending::Dropped);
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(run)
}

/// Waits for a thread. A panic was reported where it happened.
fn join(thread: JoinHandle<()>) {
    let _ = thread.join();
}
