//! Duration of a restart by the number of objects that are taken over.

use std::{
    fmt,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use kvlease_harness::{Daemon, Payload, until};
use kvlease_types::{ByteSize, Key};
use serde::{Deserialize, Serialize};
use tokio::runtime::Builder;

use super::{
    arguments::RestartsArgs,
    gate::BUCKET,
    spans::{Spans, Summary},
};
use crate::{
    clients::{Clients, Place, Seen, Way},
    interrupt::Interrupt,
    launch::launch,
    stores::{self, Filling, Outcome, Then},
    verdict,
};

/// Number of kills and restarts with the same objects.
const KILLS: usize = 5;

/// Number of objects that are stored, and read, together.
const BATCH: usize = 64;

/// Spare room of an arena beside its objects, in percent, and at least.
const SPARE_PERCENT: u64 = 2;
const SPARE_MIN: u64 = 16 << 20;

/// Time to live of the leases.
const TTL: Duration = Duration::from_secs(10);

/// Limit for the daemon to verify every byte in the background.
const VERIFIED_WITHIN: Duration = Duration::from_secs(600);

/// Measurements.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ScaleReport {
    /// One for each number of objects.
    pub scales: Vec<Scale>,
}

/// Measurements with one number of objects.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Scale {
    /// Number of objects.
    pub objects: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// From the kill to the process being gone: its memory is given back.
    pub kill_to_end: Summary,
    /// From the start of the process to 200 from `/readyz`.
    pub start_to_ready: Summary,
    /// From the start of the process to an object read under a lease.
    pub start_to_read: Summary,
    /// From the kill to that object.
    pub kill_to_read: Summary,
    /// Recovery of objects, as the daemon measures it.
    pub recovery: Summary,
    /// From the start of the last process until it had verified every byte, in seconds.
    pub verified_s: f64,
    /// Objects that were lost.
    pub lost: u64,
}

/// Measures restarts with each number of objects.
///
/// # Errors
///
/// Whatever keeps it from a measurement, such as a lack of memory.
pub fn measure(args: &RestartsArgs) -> anyhow::Result<ScaleReport> {
    let interrupt = Interrupt::listen()?;
    let scale = |objects: &u64| Filled::new(args, *objects, &interrupt)?.measure();
    Ok(ScaleReport { scales: args.objects.iter().map(scale).collect::<Result<_, _>>()? })
}

/// A daemon with objects.
struct Filled<'a> {
    daemon: Daemon,
    objects: u64,
    len: usize,
    interrupt: &'a Interrupt,
    runtime: tokio::runtime::Runtime,
}

impl<'a> Filled<'a> {
    fn new(args: &RestartsArgs, objects: u64, interrupt: &'a Interrupt) -> anyhow::Result<Self> {
        let len = args.object_size.bytes();
        let bytes = objects * len.next_multiple_of(4096);
        let capacity = bytes + (bytes / 100 * SPARE_PERCENT).max(SPARE_MIN);
        let capacity = ByteSize::new(capacity.next_multiple_of(4096));
        let daemon = Daemon::start(launch(args.daemon.as_deref(), capacity, [])?)?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let filled = Self { daemon, objects, len: len as usize, interrupt, runtime };
        filled.fill()?;
        Ok(filled)
    }

    fn key(number: u64) -> Key {
        Key::new(format!("org/model@scale@{number}")).expect("it is a valid name")
    }

    fn clients(&self) -> anyhow::Result<Clients> {
        self.runtime.block_on(Clients::open(&Place::of(&self.daemon)?, BUCKET, Way::Lane))
    }

    fn fill(&self) -> anyhow::Result<()> {
        let clients = self.clients()?;
        let numbers: Vec<u64> = (0..self.objects).collect();
        for batch in numbers.chunks(BATCH) {
            self.interrupt.check()?;
            let filling = |number: &u64| {
                let key = Self::key(*number);
                let bytes = Payload::new(key.as_str(), 1, self.len).bytes();
                Filling { key, bytes, pause: Duration::ZERO, then: Then::Commit }
            };
            let objects: Vec<_> = batch.iter().map(filling).collect();
            let stores = stores::over_lane(clients.lane()?, &objects);
            let outcomes = self.runtime.block_on(stores)?.outcomes;
            ensure!(outcomes.len() == batch.len(), "a batch has to fit into a frame");
            let all = outcomes.iter().all(|outcome| *outcome == Outcome::Stored);
            ensure!(all, "not stored, outcomes=`{outcomes:?}`");
        }
        Ok(())
    }

    fn measure(mut self) -> anyhow::Result<Scale> {
        let mut spans: [Spans; 5] = Default::default();
        let mut started = Instant::now();
        for kill in 0..KILLS {
            self.interrupt.check()?;
            let killed = Instant::now();
            self.daemon.kill()?;
            spans[0].add(killed.elapsed());
            started = Instant::now();
            self.daemon.spawn()?;
            self.daemon.await_listening()?;
            let ready = self.daemon.call("GET", "/readyz", b"")?;
            ensure!(ready.status == 200, "not ready, reply=`{ready:?}`");
            spans[1].add(started.elapsed());
            let clients = self.clients()?;
            let number = self.objects * kill as u64 / KILLS as u64;
            ensure!(self.read(&clients, &[number])? == 0, "lost, number=`{number}`");
            spans[2].add(started.elapsed());
            spans[3].add(killed.elapsed());
            let took = self.daemon.metric("kvlease_recovery_seconds")?;
            spans[4].add(Duration::from_secs_f64(took));
        }
        let unverified = || self.daemon.metric("kvlease_objects_unverified");
        let verified = until(VERIFIED_WITHIN, || match unverified() {
            Ok(left) if left > 0.0 => None,
            outcome => Some(outcome),
        });
        verified.context("not every object is verified")??;
        let verified_s = started.elapsed().as_secs_f64();
        let clients = self.clients()?;
        let numbers: Vec<u64> = (0..self.objects).collect();
        let lost = numbers.chunks(BATCH).map(|batch| self.read(&clients, batch));
        let lost = lost.sum::<anyhow::Result<u64>>()?;
        let [kill_to_end, start_to_ready, start_to_read, kill_to_read, recovery] =
            spans.map(|spans| spans.summary());
        let (objects, bytes) = (self.objects, self.objects * self.len as u64);
        Ok(Scale {
            objects,
            bytes,
            kill_to_end,
            start_to_ready,
            start_to_read,
            kill_to_read,
            recovery,
            verified_s,
            lost,
        })
    }

    /// Reads objects under leases, and returns how many are not there with right bytes.
    fn read(&self, clients: &Clients, numbers: &[u64]) -> anyhow::Result<u64> {
        self.interrupt.check()?;
        let keys: Vec<_> = numbers.iter().map(|number| Self::key(*number)).collect();
        let leases = clients.lease(Way::Lane, &keys, Duration::ZERO, TTL);
        let (mut lost, mut buffer) = (0, Vec::new());
        for leased in self.runtime.block_on(leases)? {
            let seen = leased.map_or(Ok(Seen::Absent), |leased| leased.read(&mut buffer))?;
            lost += u64::from(seen != Seen::Version(1));
        }
        Ok(lost)
    }
}

impl ScaleReport {
    /// Faults, in one line each. Durations are for people to judge.
    pub fn faults(&self) -> Vec<String> {
        let lost = self.scales.iter().filter(|scale| scale.lost > 0);
        lost.map(|scale| format!("lost, of {} objects: {}", scale.objects, scale.lost)).collect()
    }
}

impl fmt::Display for ScaleReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{KILLS} kills for each number of objects; ms: p50, max")?;
        writeln!(
            f,
            "{:>9}{:>9}{:>16}{:>16}{:>16}{:>16}{:>16}{:>12}",
            "objects",
            "GiB",
            "kill, end",
            "start, ready",
            "start, read",
            "kill, read",
            "take over",
            "verified s"
        )?;
        for scale in &self.scales {
            writeln!(
                f,
                "{:>9}{:>9.2}{:>16}{:>16}{:>16}{:>16}{:>16}{:>12.1}",
                scale.objects,
                scale.bytes as f64 / (1u64 << 30) as f64,
                scale.kill_to_end,
                scale.start_to_ready,
                scale.start_to_read,
                scale.kill_to_read,
                scale.recovery,
                scale.verified_s,
            )?;
        }
        verdict::verdict(f, &self.faults())
    }
}
