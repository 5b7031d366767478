//! Supervisor: one soak from start to verdict.

use std::{
    path::PathBuf,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use kvlease_harness::{Daemon, oracle::OracleFile};
use kvlease_testing::Draws;
use kvlease_types::ByteSize;
use tempfile::TempDir;

use super::{
    process_pool::{Orders, ProcessPool},
    report::Report,
    session::{BUCKET, ORACLE},
};
use crate::{
    clients::Place, counts::named, interrupt::Interrupt, launch::launch, leftover::Leftover,
    workload::Workload,
};

/// Longest lease, and the grace after one that was not released.
const TTL_MAX: Duration = Duration::from_secs(3);
const GRACE: Duration = Duration::from_millis(500);

/// Pause between two looks at the clients.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Mean time between two kills: 400 a minute.
const KILL_EVERY: Duration = Duration::from_millis(150);

/// Party whose draws decide which client is killed when; clients count from 0.
const KILLER: u64 = u64::MAX;

/// Arguments of a soak.
#[derive(Clone, Debug, clap::Args)]
pub struct SoakArgs {
    /// How long clients race, in seconds
    #[arg(long, default_value_t = 60)]
    pub seconds: u64,
    /// Seed of keys, lengths, choices and kills [default: another one each time]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Writer processes
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub writers: u16,
    /// Reader processes
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub readers: u16,
    /// Size of the arena; all objects together have at least four times as much
    #[arg(long, default_value = "256MiB")]
    pub capacity: ByteSize,
    /// Eviction policy of the daemon: lru or s3-fifo
    #[arg(long, default_value = "s3-fifo")]
    pub eviction: String,
    /// How many of a hundred clients take the fast lane
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u8).range(..=100))]
    pub lane: u8,
    /// Kill clients at random and replace them
    #[arg(long)]
    pub kill_clients: bool,
    /// The `kvlease` executable [default: the one beside this]
    #[arg(long, env = "KVLEASE_BIN")]
    pub daemon: Option<PathBuf>,
}

/// Runs a soak.
///
/// # Errors
///
/// Whatever keeps it from a verdict: a daemon or a client that ended by itself, an interrupt.
pub fn run(args: &SoakArgs, seed: u64) -> anyhow::Result<Report> {
    let interrupt = Interrupt::listen()?;
    let folder = TempDir::with_prefix("kvlease-soak-")?;
    let mut daemon = Daemon::start(launch(args.daemon.as_deref(), args.capacity, settings(args))?)?;
    let capacity = daemon.stats()?.capacity;
    let workload = Workload::new(seed, capacity);
    OracleFile::create(&folder.path().join(ORACLE), workload.keys())?;
    let orders = Orders {
        folder: folder.path().to_owned(),
        seed,
        capacity,
        ttl_max_ms: TTL_MAX.as_millis() as u64,
        writers: args.writers.into(),
        readers: args.readers.into(),
        lane_percent: args.lane.into(),
    };
    let started = Instant::now();
    let mut pool = ProcessPool::start(orders, Place::of(&daemon)?)?;
    let raced = race(args, seed, &mut pool, &mut daemon, &interrupt);
    raced.with_context(|| format!("the daemon's log:\n{}", daemon.log()))?;
    let (counts, kills) = pool.stop()?;
    let raced_s = started.elapsed().as_secs_f64();
    let at_end = daemon.stats()?;
    let metric = |name: &str| daemon.metric(name).map(|value| value as u64);
    let lease_waits = metric("kvlease_lease_waits_total")?;
    let writes_aborted = metric("kvlease_writes_aborted_total")?;
    let corrupt_objects = metric("kvlease_corrupt_objects_total")?;
    let leftover = Leftover::of(&daemon, BUCKET, TTL_MAX + GRACE, &interrupt)?;
    let status = daemon.terminate()?;
    Ok(Report {
        seed,
        eviction: at_end.eviction,
        seconds: raced_s,
        capacity,
        working_set: workload.bytes(),
        keys: workload.keys() as u64,
        kills_in_put: kills.in_put,
        kills_in_read: kills.in_read,
        kills_in_pause: kills.in_pause,
        evictions: at_end.evictions,
        leases_expired: at_end.leases_expired,
        lease_waits,
        writes_aborted,
        corrupt_objects,
        counts: named(&counts),
        leftover,
        daemon_status: status.code(),
    })
}

fn settings(args: &SoakArgs) -> [String; 4] {
    [
        format!("cache.eviction={}", args.eviction),
        format!("lease.ttl_default_s={}", TTL_MAX.as_secs_f64()),
        format!("lease.ttl_max_s={}", TTL_MAX.as_secs_f64()),
        format!("lease.grace_s={}", GRACE.as_secs_f64()),
    ]
}

/// Lets the clients race, and kills some of them.
fn race(
    args: &SoakArgs,
    seed: u64,
    pool: &mut ProcessPool,
    daemon: &mut Daemon,
    interrupt: &Interrupt,
) -> anyhow::Result<()> {
    let mut draws = Draws::of(seed, KILLER);
    let started = Instant::now();
    let mut next_kill = Duration::ZERO;
    while started.elapsed() < Duration::from_secs(args.seconds) {
        pool.check()?;
        ensure!(daemon.is_alive()?, "the daemon ended by itself");
        if args.kill_clients && started.elapsed() >= next_kill {
            pool.kill_one(&mut draws)?;
            next_kill += KILL_EVERY.mul_f64(draws.below(2000) as f64 / 1000.0);
        }
        interrupt.check()?;
        sleep(LOOK_EVERY);
    }
    Ok(())
}
