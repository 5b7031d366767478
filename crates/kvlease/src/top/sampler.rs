//! Thread that asks all daemons at an interval, each on its own, so that one that is silent holds no
//! other up.

use std::{sync::mpsc, thread, time::Duration};

use tokio::{
    runtime::Builder,
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use crate::{
    failure::{Failure, Status},
    nodes::{Node, Sample},
};

/// Sample of the node with this number.
pub(super) type Taken = (usize, Sample);

/// Samples that wait for the terminal, each of which is small beside its daemon.
const WAITING_MAX: usize = 256;

/// Starts the thread. It ends with the receiver.
pub(super) fn start(nodes: Vec<Node>, every: Duration) -> Result<mpsc::Receiver<Taken>, Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(Status::Io, format!("cannot start: raise the limits of this process, {error}"))
    };
    let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let (samples, taken) = mpsc::sync_channel(WAITING_MAX);
    let ask = move || {
        runtime.block_on(async {
            let mut asking = JoinSet::new();
            for (number, node) in nodes.into_iter().enumerate() {
                asking.spawn(watch(number, node, every, samples.clone()));
            }
            asking.join_all().await;
        });
    };
    thread::Builder::new().name("samples".to_owned()).spawn(ask).map_err(failed)?;
    Ok(taken)
}

async fn watch(number: usize, node: Node, every: Duration, samples: mpsc::SyncSender<Taken>) {
    let mut tick = interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let sample = node.sample(true).await;
        // A terminal that is not drawn, as of a stopped process, misses samples.
        if let Err(mpsc::TrySendError::Disconnected(_)) = samples.try_send((number, sample)) {
            return;
        }
    }
}
