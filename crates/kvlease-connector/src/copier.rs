//! The threads that copy: as many as the connector was given, started when the first copy comes.
//!
//! They are the connector's own, not those of the runtime: a copy of many megabytes holds up no
//! network traffic, and however many copies wait, no more threads are started. A large object is
//! shared by all of them. They end when the connector does.
//!
//! The queue is unbounded by design: each entry belongs to a read that already has a lease and a
//! buffer. Of a batch these are no more than
//! [`requests_max`](kvlease_http::ClientConfig::requests_max).

use std::{
    collections::VecDeque,
    fmt, io,
    num::NonZeroUsize,
    sync::{Arc, PoisonError},
};

use kvlease_attach::{CopyOutcome, ObjectCopy};
use kvlease_sys::OfProcess;
use tokio::sync::oneshot;

use super::sync::{Condvar, Mutex, MutexGuard, thread};

/// The threads. Dropping it ends them when they have done what they were given.
#[derive(Debug)]
pub(super) struct Copier {
    /// A forked child has none of the threads, but may have a lock that one of them held.
    queue: OfProcess<Arc<Queue>>,
    threads_max: NonZeroUsize,
}

#[derive(Default, Debug)]
struct Queue {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default, Debug)]
struct State {
    /// One entry for each thread that a copy has work for.
    jobs: VecDeque<Arc<Job>>,
    threads: usize,
    idle: usize,
    ended: bool,
}

/// Work for one thread, or for several that share a copy.
enum Job {
    Copy { copy: ObjectCopy, done: Mutex<Option<oneshot::Sender<CopyOutcome>>> },
    Run(Mutex<Option<Box<dyn FnOnce() + Send>>>),
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Copy { copy, .. } => f.debug_tuple("Copy").field(copy).finish(),
            Self::Run(_) => f.debug_struct("Run").finish_non_exhaustive(),
        }
    }
}

impl Copier {
    pub(super) fn new(threads_max: NonZeroUsize) -> Self {
        Self { queue: OfProcess::new(Arc::default()), threads_max }
    }

    /// Copies on the threads and waits for the end. If the future is dropped, the copy goes on
    /// until its end.
    pub(super) async fn copy(&self, copy: ObjectCopy) -> CopyOutcome {
        let (done, outcome) = oneshot::channel();
        let hands = copy.pieces().min(self.threads_max.get());
        self.work(Job::Copy { copy, done: Mutex::new(Some(done)) }, hands);
        outcome.await.expect("a copy is worked on until its outcome is sent")
    }

    /// Runs something that copies on one of the threads. If the future is dropped, it goes on until
    /// its end.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        run: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let (done, outcome) = oneshot::channel();
        let run = move || {
            // The caller may have given up.
            let _ = done.send(run());
        };
        self.work(Job::Run(Mutex::new(Some(Box::new(run)))), 1);
        outcome.await.expect("what is run is run to its end")
    }

    fn work(&self, job: Job, hands: usize) {
        let job = Arc::new(job);
        let submitted = self.queue.get().map(|queue| self.submit(queue, &job, hands));
        if !matches!(submitted, Some(Ok(()))) {
            // Not one thread can be had: the caller's own is slow, but it is there.
            job.work();
        }
    }

    fn submit(&self, queue: &Arc<Queue>, job: &Arc<Job>, hands: usize) -> io::Result<()> {
        let mut state = queue.lock();
        let wanted = (state.jobs.len() + hands).saturating_sub(state.idle);
        for _ in 0..wanted.min(self.threads_max.get() - state.threads) {
            let queue = Arc::clone(queue);
            let name = format!("kvlease-copy-{}", state.threads);
            match thread::Builder::new().name(name).spawn(move || queue.serve()) {
                Ok(_) => state.threads += 1,
                Err(error) if state.threads == 0 => return Err(error),
                Err(_) => break,
            }
        }
        for _ in 0..hands {
            state.jobs.push_back(Arc::clone(job));
            queue.wake.notify_one();
        }
        Ok(())
    }
}

impl Drop for Copier {
    fn drop(&mut self) {
        if let Some(queue) = self.queue.get() {
            queue.lock().ended = true;
            queue.wake.notify_all();
        }
    }
}

impl Queue {
    /// Main loop of a thread: copies as they come, until the connector ends.
    fn serve(&self) {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                job.work();
                drop(job);
                state = self.lock();
                continue;
            }
            if state.ended {
                return;
            }
            state.idle += 1;
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in the sections can panic half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Job {
    fn work(&self) {
        match self {
            Self::Copy { copy, done } => {
                let Some(outcome) = copy.work() else { return };
                if let Some(done) = take(done) {
                    // The caller may have given up.
                    let _ = done.send(outcome);
                }
            }
            Self::Run(run) => {
                if let Some(run) = take(run) {
                    run();
                }
            }
        }
    }
}

fn take<T>(place: &Mutex<Option<T>>) -> Option<T> {
    place.lock().unwrap_or_else(PoisonError::into_inner).take()
}
