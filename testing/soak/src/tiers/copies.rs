//! Copies from the daemon to its tier.

use std::time::{Duration, Instant};

use anyhow::Context;
use kvlease_harness::{Daemon, until};

/// Limit for the copies of what is queued.
const COPIES_WITHIN: Duration = Duration::from_secs(30);

/// Time without a copy after which the daemon queues nothing more: it has made the room that it keeps
/// free.
const QUIET: Duration = Duration::from_millis(300);

/// Waits until the daemon has copied what is queued, and copies nothing any more.
pub(super) fn await_copies(daemon: &Daemon, kind: &str) -> anyhow::Result<()> {
    let copied =
        || sum(daemon, kind, &["stores", "already_there", "queue_full", "left_too_early", "unfit"]);
    let mut last = (-1.0, Instant::now());
    let rested = until(COPIES_WITHIN, || {
        // In this order: what is not queued any more is being copied, or copied.
        let gauge = |name| daemon.metric(&format!("kvlease_tier_{name}{{tier=\"{kind}\"}}"));
        let open = || Ok((gauge("queued")? + gauge("copying")?, copied()?));
        match open() {
            Ok((open, now)) => {
                if open > 0.0 || now > last.0 {
                    last = (now, Instant::now());
                }
                (last.1.elapsed() > QUIET).then_some(Ok(()))
            }
            Err(error) => Some(Err(error)),
        }
    });
    rested.context("the copies did not end")?
}

/// Objects that this daemon did not copy.
pub(super) fn count_uncopied(daemon: &Daemon, kind: &str) -> anyhow::Result<u64> {
    let names = ["queue_full", "left_too_early", "unfit", "errors", "timeouts", "skipped_broken"];
    Ok(sum(daemon, kind, &names)? as u64)
}

fn sum(daemon: &Daemon, kind: &str, names: &[&str]) -> anyhow::Result<f64> {
    let of = |name: &&str| daemon.metric(&format!("kvlease_tier_{name}_total{{tier=\"{kind}\"}}"));
    names.iter().map(of).sum()
}
