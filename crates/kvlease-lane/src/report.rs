//! Reports of reads without a lease: a task that runs while there is something to tell.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use kvlease_api::lane::UsedWriter;
use tokio::time::sleep;

use super::lane_core::LaneCore;

/// Time from a read to the report of it.
pub(super) const REPORT_INTERVAL: Duration = Duration::from_millis(250);

/// Time that a report may take.
const REPORT_LIMIT: Duration = Duration::from_secs(1);

/// Notes that an object was used, of which the daemon is told within a moment. Returns false in a
/// forked child.
pub(super) fn note_use(core: &Arc<LaneCore>, slot: u32, generation: u64, reads: u64) -> bool {
    let Some(starts) = core.reads.note(slot, generation, reads) else { return false };
    if starts {
        let task = Task { core: Arc::downgrade(core) };
        core.reads.runtime().spawn(task.run());
    }
    true
}

/// The task. If its runtime ends before it does, the next read starts another one.
struct Task {
    core: Weak<LaneCore>,
}

impl Task {
    async fn run(self) {
        loop {
            sleep(REPORT_INTERVAL).await;
            let Some(core) = self.core.upgrade() else { return };
            let Some((objects, reads)) = core.reads.take() else { return };
            let write = |out: &mut Vec<u8>, request| {
                let mut frame = UsedWriter::begin(out, request, reads, true);
                for (slot, generation) in &objects {
                    frame.push(*slot, *generation).expect("no more are noted than fit");
                }
                frame.finish();
            };
            // Best effort: behind a lane that breaks is no daemon to tell.
            let told =
                core.call(None, REPORT_LIMIT, async |connection| connection.tell(write).await);
            if told.await.is_err() {
                return;
            }
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        // A read that comes in between is told of with the next one.
        if let Some(core) = self.core.upgrade() {
            core.reads.end_task();
        }
    }
}
