//! Campaign of kills: the daemon is killed again and again at any moment, and must still have its
//! objects.
//!
//! Clients store, read and remove objects, over HTTP and over the fast lane. `SIGKILL` hits the
//! daemon in the middle of that, or while it takes over the objects of the daemon before; it is
//! started again at once on the same segment. Then, while no client works, an audit reads every key:
//!
//! * Every byte that a client reads under a lease or over HTTP is right, always, also under the
//!   leases of killed daemons, and while clients write on into the reservations of killed daemons.
//!   So is every byte that readers read by the published index alone, all the time, with the mappings
//!   of killed daemons as well.
//! * An object whose removal was answered never comes back. Nor does a store that was cut off and
//!   not found by the audit after it.
//! * An object whose store was answered is there, unless its removal was requested or it was
//!   evicted. A store that was cut off is there as a whole or not at all.
//!
//! The daemon reports no single eviction, so there are two kinds of segments, in turns:
//!
//! * *Roomy* ones have several times the space that all objects need. Nothing may be evicted there
//!   (that is a fault of its own), so every promised object has to be there. After one kill in four
//!   the clients work before the audit: a miss is a fault for them as well.
//! * *Cramped* ones have room for half of the objects. Before three of five kills the clients are
//!   kept from storing, the one cause of evictions, and go on reading and removing. Then the listing
//!   shows the objects that are there, and the number of evictions is final: every listed object has
//!   to be there after the kill unless its removal was requested since, and no more objects may be
//!   missing than were evicted. Before the other kills all clients store until the end. Then missing
//!   objects prove nothing, but all other rules hold.
//!
//! Counts of corrupt, unrecorded and dropped objects have to stay zero, and every byte of a segment
//! has to be free at its end.

mod arguments;
mod audit;
mod client;
mod common;
mod gate;
mod objects;
mod reader;
mod report;
mod scale;
mod series;
mod spans;
mod store;

use std::{
    thread,
    time::{Duration, Instant},
};

use kvlease_harness::{Daemon, oracle::Oracle};
use kvlease_testing::{Draws, mix};
use kvlease_types::ByteSize;

use crate::{interrupt::Interrupt, launch::launch};
use common::Common;
use objects::Objects;
use report::Findings;
use series::Series;

pub use arguments::RestartsArgs;
pub use report::RestartsReport;
pub use scale::{Scale, ScaleReport, measure};
pub use spans::Summary;

/// Number of kills on one segment.
const KILLS_PER_SEGMENT: u64 = 50;

/// Least size of a roomy arena, in sizes of all objects.
const ROOM: u64 = 16;

/// Part of a roomy arena that a cramped one is, and part of all objects that it has room for.
const CRAMPED: u64 = 8;
const OVERCOMMIT: u64 = 2;

/// Longest lease and reservation, and the grace after one that was not released: short where their
/// space is all that there is.
const ROOMY_LEASES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_millis(500));
const CRAMPED_LEASES: (Duration, Duration) =
    (Duration::from_millis(150), Duration::from_millis(150));

/// First party whose draws decide when a daemon is killed, counted down; clients count from 0.
const KILLER: u64 = u64::MAX;

/// Kills daemons as often as configured, or until an interrupt.
///
/// # Errors
///
/// Whatever keeps it from a verdict: a daemon that ended by itself or does not start.
pub fn run(args: &RestartsArgs, seed: u64) -> anyhow::Result<RestartsReport> {
    let interrupt = &Interrupt::listen()?;
    let started = Instant::now();
    let worlds = u64::from(args.worlds).min(args.kills);
    let of_each: Vec<anyhow::Result<Findings>> = thread::scope(|scope| {
        let world = |number: u64| {
            // The first ones have the rest.
            let kills = args.kills / worlds + u64::from(number < args.kills % worlds);
            scope.spawn(move || kill(args, kills, (seed, number), interrupt))
        };
        let threads: Vec<_> = (0..worlds).map(world).collect();
        threads.into_iter().map(|thread| thread.join().expect("a world does not panic")).collect()
    });
    let mut findings = Findings::default();
    for of_one in of_each {
        findings.add(of_one?);
    }
    findings.report.seed = seed;
    findings.report.seconds = started.elapsed().as_secs_f64();
    Ok(findings.report())
}

/// Kills the daemons of one world, on one segment after the other.
fn kill(
    args: &RestartsArgs,
    kills: u64,
    (seed, world): (u64, u64),
    interrupt: &Interrupt,
) -> anyhow::Result<Findings> {
    let (mut draws, mut findings) = (Draws::of(seed, KILLER - world), Findings::default());
    let mut left = kills;
    while left > 0 && interrupt.check().is_ok() {
        let number = findings.report.segments;
        let kills = left.min(KILLS_PER_SEGMENT);
        let kind = number + world;
        let (roomy, eviction) = (kind % 2 == 0, ["lru", "s3-fifo"][kind as usize / 2 % 2]);
        let arena = args.capacity.bytes() / if roomy { 1 } else { CRAMPED };
        let bytes = if roomy { arena / ROOM } else { arena * OVERCOMMIT };
        let (ttl_max, grace) = if roomy { ROOMY_LEASES } else { CRAMPED_LEASES };
        let seed = mix(seed ^ mix(number | world << 32));
        let objects = Objects::new(seed, bytes);
        let common = Common {
            roomy,
            ttl_max,
            clients: args.clients.into(),
            readers: args.readers.into(),
            seed,
            oracle: Oracle::new(objects.count()),
            objects,
            gate: gate::Gate::default(),
            counts: common::Counts::default(),
            by_index: common::ByIndex::default(),
            faults: common::Faults::default(),
        };
        let settings = settings(eviction, ttl_max, grace);
        let launch = launch(args.daemon.as_deref(), ByteSize::new(arena), settings)?;
        let daemon = Daemon::new(launch)?;
        let end = ttl_max + grace;
        Series::new(&common, daemon, end, interrupt, &mut draws, &mut findings)?.run(kills)?;
        left -= kills;
    }
    Ok(findings)
}

fn settings(eviction: &str, ttl_max: Duration, grace: Duration) -> [String; 5] {
    let (ttl, grace) = (ttl_max.as_secs_f64(), grace.as_secs_f64());
    [
        format!("cache.eviction={eviction}"),
        format!("lease.ttl_default_s={ttl}"),
        format!("lease.ttl_max_s={ttl}"),
        format!("lease.reservation_ttl_s={ttl}"),
        format!("lease.grace_s={grace}"),
    ]
}
