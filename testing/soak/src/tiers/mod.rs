//! Campaign of kills and reboots over a tier on disk.
//!
//! Clients store, read and remove more than the arena has room for, so objects go to the tier and
//! come back all the time. `SIGKILL` hits the daemon in the middle of that, or while it takes over.
//! After every other kill the segment is removed as well, as a reboot does:
//!
//! * Every byte that a client reads is right, and of a version that its key may have.
//! * An object whose removal was answered never comes back, neither from the arena nor from the tier.
//! * Before some kills the clients stop and the daemon copies what is queued. Every object that was
//!   there then is there after the kill and the reboot, but for those that the daemon counts as not
//!   copied.
//!
//! Every store of a key writes the same bytes until a removal of it was answered; then come new ones.

mod arguments;
mod client;
mod report;

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use kvlease_harness::{Daemon, Endpoint, until};
use kvlease_testing::Draws;
use kvlease_types::ByteSize;
use tempfile::TempDir;

use crate::{interrupt::Interrupt, launch::launch};
use client::Client;

pub use arguments::TiersArgs;
pub use report::TiersReport;

/// Number of kills over one tier.
const KILLS_PER_TIER: u64 = 25;

/// Size of the arena, which has room for a fifth of the objects.
const ARENA: ByteSize = ByteSize::mib(8);

/// Size of the tier's file: it forgets nothing in [`KILLS_PER_TIER`] kills.
const TIER: &str = "1GiB";

/// Party whose draws decide when the daemon is killed; clients count from 0.
const KILLER: u64 = u64::MAX;

/// Longest life of a daemon.
const LIFE_MAX_MS: u64 = 400;

/// Limit for the copies of what is queued.
const COPIES_WITHIN: Duration = Duration::from_secs(30);

/// Kills the daemon as often as configured, or until an interrupt.
///
/// # Errors
///
/// Whatever keeps it from a verdict: a daemon that ended by itself or does not start.
pub fn run(args: &TiersArgs, seed: u64) -> anyhow::Result<TiersReport> {
    let interrupt = Interrupt::listen()?;
    let (mut draws, started) = (Draws::of(seed, KILLER), Instant::now());
    let mut report = TiersReport { seed, ..TiersReport::default() };
    let mut clients: Vec<Client> =
        (0..args.clients.into()).map(|number| Client::new(seed, number)).collect();
    while report.kills < args.kills && interrupt.check().is_ok() {
        let kills = KILLS_PER_TIER.min(args.kills - report.kills);
        let tier = tier_directory(args)?;
        let path = tier.path().display();
        let settings = [
            format!("tier.nvme.path={path}"),
            format!("tier.nvme.capacity={TIER}"),
            "tier.nvme.write_through=all".to_owned(),
            "tier.nvme.rate_min=none".to_owned(),
            "lease.ttl_max_s=1".to_owned(),
            "lease.grace_s=0.5".to_owned(),
        ];
        let mut daemon = Daemon::new(launch(args.daemon.as_deref(), ARENA, settings)?)?;
        clients.iter_mut().for_each(Client::forget_all);
        daemon.start_again()?;
        for _ in 0..kills {
            live(&mut daemon, &mut clients, &mut draws, &mut report)?;
        }
        report.tiers += 1;
        daemon.kill()?;
    }
    for client in &mut clients {
        report.take(client.found());
    }
    report.seconds = started.elapsed().as_secs_f64();
    Ok(report)
}

/// A directory on a disk: a tmpfs is memory.
fn tier_directory(args: &TiersArgs) -> anyhow::Result<TempDir> {
    let dir: PathBuf = match &args.dir {
        Some(dir) => dir.clone(),
        None => {
            std::env::current_exe()?.parent().context("an executable is in a directory")?.into()
        }
    };
    Ok(TempDir::with_prefix_in("kvlease-tier-", dir)?)
}

/// One life of the daemon, its end, and the start of the next one.
fn live(
    daemon: &mut Daemon,
    clients: &mut [Client],
    draws: &mut Draws,
    report: &mut TiersReport,
) -> anyhow::Result<()> {
    let at_rest = draws.one_in(3);
    let life = Duration::from_millis(draws.below(LIFE_MAX_MS));
    let stop = AtomicBool::new(false);
    let endpoint = Endpoint::at(daemon.address());
    thread::scope(|scope| -> anyhow::Result<()> {
        for client in &mut *clients {
            scope.spawn(|| client.work(&endpoint, &stop));
        }
        thread::sleep(life);
        if at_rest {
            stop.store(true, Relaxed);
        } else {
            daemon.kill()?;
        }
        Ok(())
    })?;
    let mut uncopied = None;
    if at_rest {
        // Reading brings objects back, and may push others out.
        clients.iter_mut().try_for_each(|client| client.look(&endpoint))?;
        await_copies(daemon)?;
        uncopied = Some(count_uncopied(daemon)?);
        daemon.kill()?;
    }
    report.kills += 1;
    let reboot = draws.one_in(2);
    if reboot {
        report.reboots += 1;
        let segment = daemon.segment();
        fs::remove_file(segment.path()).context("the segment's public name")?;
        fs::remove_dir_all(segment.private_path()).context("the segment's private directory")?;
    }
    // Now and then it is killed while it takes over.
    if draws.one_in(4) {
        daemon.spawn()?;
        thread::sleep(Duration::from_micros(draws.below(60_000)));
        daemon.kill()?;
        report.kills += 1;
    }
    daemon.start_again()?;
    if let Some(uncopied) = uncopied {
        let endpoint = Endpoint::at(daemon.address());
        let mut lost = 0;
        for client in clients {
            lost += client.count_lost(&endpoint)?;
        }
        report.rests += 1;
        report.lost += lost;
        if lost > uncopied {
            report.faults.push(format!(
                "{lost} objects of a tier at rest were lost, {uncopied} were not copied, reboot={reboot}"
            ));
        }
    }
    Ok(())
}

/// Waits until the daemon has copied what is queued.
fn await_copies(daemon: &Daemon) -> anyhow::Result<()> {
    let copied = || -> anyhow::Result<f64> {
        let mut sum = 0.0;
        for name in ["stores", "already_there", "queue_full", "left_too_early", "unfit"] {
            sum += daemon.metric(&format!("kvlease_tier_{name}_total{{tier=\"nvme\"}}"))?;
        }
        Ok(sum)
    };
    let mut last = (-1.0, Instant::now());
    let rested = until(COPIES_WITHIN, || {
        let queued = daemon.metric("kvlease_tier_queued{tier=\"nvme\"}");
        match queued.and_then(|queued| Ok((queued, copied()?))) {
            Ok((queued, now)) => {
                if queued > 0.0 || now > last.0 {
                    last = (now, Instant::now());
                }
                (last.1.elapsed() > Duration::from_millis(300)).then_some(Ok(()))
            }
            Err(error) => Some(Err(error)),
        }
    });
    rested.context("the copies did not end")?
}

/// Objects that this daemon did not copy.
fn count_uncopied(daemon: &Daemon) -> anyhow::Result<u64> {
    let mut sum = 0.0;
    for name in ["queue_full", "left_too_early", "unfit", "errors", "timeouts"] {
        sum += daemon.metric(&format!("kvlease_tier_{name}_total{{tier=\"nvme\"}}"))?;
    }
    Ok(sum as u64)
}
