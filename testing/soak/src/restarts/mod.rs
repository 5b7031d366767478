//! The daemon, killed again and again at any moment, and whether what it had is still there.
//!
//! Clients store, read and remove objects, over HTTP and over the fast lane. `SIGKILL` hits the
//! daemon in the middle of that, or while it takes over what the one before it had; it is started
//! again at once on the same segment. Then, while nobody works, every key is looked at:
//!
//! * Every byte that anybody reads under a lease or over HTTP is right, always, also under the
//!   leases of daemons that are dead, and while others write on into what those had reserved.
//! * What was removed, and was answered so, never comes back. Nor does a store that was cut off
//!   and not found by the first look after it.
//! * What was stored, and was answered so, is there, unless somebody asked for its removal or it
//!   was evicted. A store that was cut off is there as a whole or not at all.
//!
//! Evictions are not told to anybody, so there are two kinds of segments, in turns:
//!
//! * *Roomy* ones have several times the space that all objects need. Nothing may be evicted there
//!   (that is a fault of its own), so every object that was promised has to be there. After one kill in four the
//!   clients meet the objects before the look at all keys: a miss is a fault for them as well.
//! * *Cramped* ones have room for half of the objects. Before three of five kills the clients are
//!   kept from storing, which alone makes the daemon evict, and go on reading and removing. Then
//!   the listing tells what is there, and the number of evictions is final: what was listed has to
//!   be there after the kill unless its removal was asked for since, and no more objects may be
//!   missing than were evicted. Before the other kills everybody stores until the end. Then
//!   nothing can be said of what is missing, but all the rest.
//!
//! Counts of damaged, unrecorded and dropped objects have to stay zero, and every byte of a segment
//! has to be free at its end.

mod audit;
mod book;
mod client;
mod common;
mod gate;
mod objects;
mod report;
mod scale;
mod series;
mod session;
mod spans;
mod store;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use kvlease_client::ByteSize;

use crate::{Daemon, Random, daemon::daemon_spec, interrupt::Interrupt, mix};
use book::Book;
use common::Common;
use objects::Objects;
use report::Findings;
use series::Series;

pub use report::RestartsReport;
pub use scale::{Scale, ScaleReport, measure};
pub use spans::Summary;

/// The bucket of all objects.
const BUCKET: &str = "restarts";

/// How often the daemon is killed on one segment.
const KILLS_PER_SEGMENT: u64 = 50;

/// How many times as much space as all objects need a roomy arena has, at least.
const ROOM: u64 = 16;

/// The part of a roomy arena that a cramped one is, and that of all objects that it has room for.
const CRAMPED: u64 = 8;
const OVERCOMMIT: u64 = 2;

/// The longest lease and reservation, and the grace after one that was not released: short where
/// there is no space but that which they leave.
const ROOMY_LEASES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_millis(500));
const CRAMPED_LEASES: (Duration, Duration) =
    (Duration::from_millis(150), Duration::from_millis(150));

/// The party whose random numbers say when the daemon is killed; clients count from 0.
const KILLER: u64 = u64::MAX;

/// What it is told.
#[derive(Clone, Debug, clap::Args)]
pub struct RestartsArgs {
    /// How often the daemon is killed
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..))]
    pub kills: u64,
    /// Seed of keys, lengths, choices and kills [default: another one each time]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Client threads
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub clients: u16,
    /// Size of the arena with room for everything; the other one is an eighth of it
    #[arg(long, default_value = "256MiB")]
    pub capacity: ByteSize,
    /// Measure restarts with so many objects instead; several numbers with commas
    #[arg(long, value_delimiter = ',', conflicts_with_all = ["kills", "clients", "capacity"])]
    pub objects: Vec<u64>,
    /// How long each of these objects is
    #[arg(long, default_value = "80KiB", requires = "objects")]
    pub object_size: ByteSize,
    /// The `kvlease` executable [default: the one beside this]
    #[arg(long, env = "KVLEASE_BIN")]
    pub daemon: Option<PathBuf>,
}

/// Kills the daemon as often as it is told to, or until it is interrupted.
///
/// # Errors
///
/// Whatever keeps it from a verdict: a daemon that ended by itself or does not start.
pub fn run(args: &RestartsArgs, seed: u64) -> anyhow::Result<RestartsReport> {
    let interrupt = Interrupt::listen()?;
    let (mut random, mut findings) = (Random::of(seed, KILLER), Findings::default());
    let started = Instant::now();
    let mut left = args.kills;
    while left > 0 && interrupt.check().is_ok() {
        let number = findings.report.segments;
        let kills = left.min(KILLS_PER_SEGMENT);
        let (roomy, eviction) = (number % 2 == 0, ["lru", "s3-fifo"][number as usize / 2 % 2]);
        let arena = args.capacity.bytes() / if roomy { 1 } else { CRAMPED };
        let bytes = if roomy { arena / ROOM } else { arena * OVERCOMMIT };
        let (ttl_max, grace) = if roomy { ROOMY_LEASES } else { CRAMPED_LEASES };
        let seed = mix(seed ^ mix(number));
        let objects = Objects::new(seed, bytes);
        let common = Common {
            roomy,
            ttl_max,
            clients: args.clients.into(),
            seed,
            book: Book::new(objects.count()),
            objects,
            gate: gate::Gate::default(),
            counts: common::Counts::default(),
            faults: common::Faults::default(),
        };
        let settings = settings(eviction, ttl_max, grace);
        let spec = daemon_spec(args.daemon.as_deref(), ByteSize::new(arena), settings)?;
        let daemon = Daemon::new(spec)?;
        let end = ttl_max + grace;
        Series::new(&common, daemon, end, &interrupt, &mut random, &mut findings)?.run(kills)?;
        left -= kills;
    }
    findings.report.seed = seed;
    findings.report.seconds = started.elapsed().as_secs_f64();
    Ok(findings.report())
}

fn settings(eviction: &str, ttl_max: Duration, grace: Duration) -> Vec<String> {
    let (ttl, grace) = (ttl_max.as_secs_f64(), grace.as_secs_f64());
    vec![
        format!("cache.eviction={eviction}"),
        format!("lease.ttl_default_s={ttl}"),
        format!("lease.ttl_max_s={ttl}"),
        format!("lease.reservation_ttl_s={ttl}"),
        format!("lease.grace_s={grace}"),
        "log.level=warn".to_owned(),
    ]
}
