//! Runtime of the transfers between the arena and the tiers.

use std::{
    io,
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use tokio::runtime::{Builder, Runtime};

use super::stack::Floor;
use crate::shared::Shared;

/// Threads of the runtime. Tiers with work of their own have threads of their own.
const THREADS: usize = 2;

/// Objects that are copied to one tier at the same time, if they are small.
const DEMOTIONS: usize = 32;

/// Longest time that a stop waits for the tiers to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// The runtime, with the tasks that demote. Stopping it ends them.
#[derive(Debug)]
pub(crate) struct TierWorkers {
    runtime: Mutex<Option<Runtime>>,
    shared: Arc<Shared>,
}

impl TierWorkers {
    pub(crate) fn start(shared: &Arc<Shared>) -> io::Result<Self> {
        let mut runtime = None;
        if !shared.tiers.is_empty() {
            let mut builder = Builder::new_multi_thread();
            let threads = builder.worker_threads(THREADS).thread_name("kvlease-tier");
            let started = threads.enable_all().build()?;
            for floor in shared.tiers.floors() {
                for _ in 0..DEMOTIONS {
                    started.spawn(demote(Arc::clone(shared), floor.clone()));
                }
            }
            let handle = started.handle().clone();
            shared.tiers.runtime.set(handle).expect("the workers are started once");
            runtime = Some(started);
        }
        Ok(Self { runtime: Mutex::new(runtime), shared: Arc::clone(shared) })
    }

    /// Closes the tiers, and ends what is under way after that.
    pub(crate) fn stop(&self) {
        let runtime = self.runtime.lock().expect("no thread panics while holding it").take();
        let Some(runtime) = runtime else { return };
        let (closed, is_closed) = mpsc::channel();
        for floor in self.shared.tiers.floors().iter().cloned() {
            let closed = closed.clone();
            runtime.spawn(async move {
                if let Err(error) = floor.level.tier().close().await {
                    let tier = floor.level.tier().kind();
                    tracing::error!(tier, "the tier did not close as it should: {error}");
                }
                // After the time limit the stop waits for it no longer.
                let _ = closed.send(());
            });
        }
        drop(closed);
        for _ in self.shared.tiers.floors() {
            if is_closed.recv_timeout(CLOSE_TIMEOUT).is_err() {
                tracing::error!("a tier did not close within {CLOSE_TIMEOUT:?}");
            }
        }
        // The caller may be on a runtime itself, where waiting for the threads is a panic.
        runtime.shutdown_background();
    }
}

impl Drop for TierWorkers {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Demotes until the runtime ends.
async fn demote(shared: Arc<Shared>, floor: Floor) {
    loop {
        let (demotion, _copying) = floor.queue.pop().await;
        shared.demote(&floor, demotion).await;
    }
}
