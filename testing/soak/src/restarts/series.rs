//! Series of kills on one segment.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use kvlease_harness::{Daemon, STARTS_WITHIN, until};
use kvlease_testing::Draws;
use tokio::runtime::{Builder, Runtime};

use super::{
    audit::Audit, client::Client, common::Common, gate::BUCKET, reader::Reader, report::Findings,
};
use crate::{
    clients::{Clients, Place, Seen, Way},
    interrupt::Interrupt,
    leftover::Leftover,
};

/// Share of daemons that are killed just after their start, in percent, and the longest time until
/// then: it takes about as long until they serve.
const EARLY_PERCENT: u64 = 25;
const EARLY_MAX: Duration = Duration::from_millis(40);

/// Share of kills before which stores are held, in an arena too small for all objects, in percent.
const HELD_PERCENT: u64 = 60;

/// Share of kills after which clients go on before the audit, where nothing is evicted, in percent.
const UNAUDITED_PERCENT: u64 = 25;

/// Longest time that clients work before the next kill. Where there is little space, leases of the
/// daemon before have to end first.
const WORK_MAX: Duration = Duration::from_millis(300);
const WORK_MAX_CRAMPED: Duration = Duration::from_millis(600);

/// One segment, and the daemons that serve it one after the other.
pub(super) struct Series<'a> {
    pub(super) common: &'a Common,
    pub(super) daemon: Daemon,
    /// Longest time that a lease and its grace keep space.
    pub(super) lease_end: Duration,
    pub(super) interrupt: &'a Interrupt,
    pub(super) draws: &'a mut Draws,
    pub(super) findings: &'a mut Findings,
    runtime: Runtime,
}

/// Evictions before a kill, as far as they are known.
enum Evicted {
    /// Their number; the last of them was before these keys were listed.
    Exactly(u64, Vec<usize>),
    /// Any number.
    Unknown,
}

impl<'a> Series<'a> {
    pub(super) fn new(
        common: &'a Common,
        daemon: Daemon,
        lease_end: Duration,
        interrupt: &'a Interrupt,
        draws: &'a mut Draws,
        findings: &'a mut Findings,
    ) -> anyhow::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self { common, daemon, lease_end, interrupt, draws, findings, runtime })
    }

    /// Kills the daemon as many times while clients work, unless an interrupt stops it before. In
    /// the end every byte of the arena has to be free again.
    pub(super) fn run(mut self, kills: u64) -> anyhow::Result<()> {
        let common = self.common;
        thread::scope(|scope| {
            for number in 0..common.clients {
                let thread = thread::Builder::new().name(format!("restarts-{number}"));
                let client = Client::new(common, number);
                thread.spawn_scoped(scope, move || match client.run() {
                    Ok(()) => {}
                    Err(error) => common.faults.add(format!("a client ended: {error:?}")),
                })?;
            }
            for number in 0..common.readers {
                let thread = thread::Builder::new().name(format!("reader-{number}"));
                let reader = Reader::new(common, number);
                thread.spawn_scoped(scope, move || match reader.run() {
                    Ok(()) => {}
                    Err(error) => common.faults.add(format!("a reader ended: {error:?}")),
                })?;
            }
            let killed = self.kill_all(kills);
            common.gate.end();
            killed.with_context(|| format!("the daemon's log:\n{}", self.daemon.log()))
        })?;
        let left = Leftover::of(&self.daemon, BUCKET, self.lease_end, self.interrupt);
        let end = match left {
            Ok(left) => Some((left, self.daemon.terminate()?.code())),
            // After an interrupt the daemon need not become empty.
            Err(_) if self.interrupt.check().is_err() => None,
            Err(error) => return Err(error),
        };
        self.findings.add_segment(common, end);
        Ok(())
    }

    fn kill_all(&mut self, kills: u64) -> anyhow::Result<()> {
        self.daemon.spawn()?;
        self.daemon.await_listening()?;
        let mut left = kills;
        while left > 0 && self.interrupt.check().is_ok() {
            self.common.gate.open(Place::of(&self.daemon)?);
            let span = if self.common.roomy { WORK_MAX } else { WORK_MAX_CRAMPED };
            thread::sleep(self.below(span));
            let evicted = self.look_before()?;
            left -= self.kill_and_start(left)?;
            self.look_after(&evicted, left)?;
        }
        Ok(())
    }

    /// Looks at the daemon before it is killed.
    fn look_before(&mut self) -> anyhow::Result<Evicted> {
        let hold = !self.common.roomy && self.draws.percent(HELD_PERCENT);
        if hold {
            self.common.gate.hold_stores();
            let held = until(STARTS_WITHIN, || self.common.gate.nothing_is_stored().then_some(()));
            held.context("a store does not end")?;
        }
        let there = if hold { self.list()? } else { Vec::new() };
        let evictions = self.daemon.stats()?.evictions;
        self.findings.report.evictions += evictions;
        for (metric, what) in [
            ("kvlease_corrupt_objects_total", "objects that the daemon found corrupt"),
            ("kvlease_objects_unrecorded_total", "objects that were not recorded"),
        ] {
            let count = self.daemon.metric(metric)?;
            if count > 0.0 {
                self.common.faults.add(format!("{what}: {count} log:\n{}", self.daemon.log()));
            }
        }
        if self.common.roomy && evictions > 0 {
            let fault = format!("evicted although there is room for all: {evictions}");
            self.common.faults.add(fault);
        }
        if hold {
            self.findings.report.kills_held += 1;
            // Reads and removals go on until the kill.
            thread::sleep(self.below(EARLY_MAX));
        }
        let known = hold || self.common.roomy;
        Ok(if known { Evicted::Exactly(evictions, there) } else { Evicted::Unknown })
    }

    /// Indices of the keys that have an object.
    fn list(&self) -> anyhow::Result<Vec<usize>> {
        let mut keys = self.daemon.keys(BUCKET)?;
        keys.sort_unstable();
        let objects = &self.common.objects;
        let is_there = |index: &usize| {
            keys.binary_search_by(|key| key.as_str().cmp(objects.key(*index).as_str())).is_ok()
        };
        Ok((0..objects.count()).filter(is_there).collect())
    }

    /// Kills the daemon, maybe several times before it serves again, and measures the restart.
    /// Returns the number of kills.
    fn kill_and_start(&mut self, most: u64) -> anyhow::Result<u64> {
        ensure!(self.daemon.is_alive()?, "the daemon ended by itself");
        self.common.gate.close();
        let mut killed = Instant::now();
        self.daemon.kill()?;
        let mut kills = 1;
        let mut started = Instant::now();
        self.daemon.spawn()?;
        while kills < most && self.draws.percent(EARLY_PERCENT) {
            thread::sleep(self.below(EARLY_MAX));
            ensure!(self.daemon.is_alive()?, "the daemon ended by itself");
            killed = Instant::now();
            self.daemon.kill()?;
            kills += 1;
            self.findings.report.kills_early += 1;
            started = Instant::now();
            self.daemon.spawn()?;
        }
        self.findings.report.kills += kills;
        self.findings.times.kill_to_start.add(started - killed);
        self.daemon.await_listening()?;
        let ready = || self.daemon.call("GET", "/readyz", b"");
        let ready = until(STARTS_WITHIN, || match ready() {
            Ok(reply) if reply.status != 200 => None,
            outcome => Some(outcome),
        });
        ready.context("the daemon is not ready")??;
        self.findings.times.start_to_ready.add(started.elapsed());
        if self.read_one()? {
            self.findings.times.start_to_read.add(started.elapsed());
            self.findings.times.kill_to_read.add(killed.elapsed());
        }
        Ok(kills)
    }

    /// Reads an object under a lease that must be there. Returns whether there is one.
    fn read_one(&mut self) -> anyhow::Result<bool> {
        let promised = self.common.oracle.promised();
        if promised.is_empty() {
            return Ok(false);
        }
        let index = promised[self.draws.index(promised.len())];
        let place = Place::of(&self.daemon)?;
        let Common { objects, oracle, ttl_max, .. } = self.common;
        let before = oracle.get(index);
        let seen = self.runtime.block_on(async {
            let clients = Clients::open(&place, BUCKET, Way::Lane).await?;
            let keys = std::slice::from_ref(objects.key(index));
            let leases = clients.lease(Way::Http, keys, Duration::ZERO, *ttl_max).await?;
            let Some(leased) = leases.into_iter().flatten().next() else {
                return Ok(Seen::Absent);
            };
            let seen = leased.read(&mut Vec::new())?;
            leased.release().await?;
            anyhow::Ok(seen)
        })?;
        self.common.judge(index, &before, &seen, "the first read after a restart");
        Ok(matches!(seen, Seen::Version(_)))
    }

    /// Audits every key, unless clients are to go first, and judges the missing objects.
    fn look_after(&mut self, evicted: &Evicted, left: u64) -> anyhow::Result<()> {
        let stopped = self.common.gate.await_waiting(self.common.clients, STARTS_WITHIN);
        ensure!(stopped, "a client does not notice that its daemon is dead");
        self.look_at_recovery()?;
        if self.common.roomy && left > 0 && self.draws.percent(UNAUDITED_PERCENT) {
            self.findings.report.kills_unaudited += 1;
            return Ok(());
        }
        let place = Place::of(&self.daemon)?;
        let common = self.common;
        let audit = self.runtime.block_on(async {
            let clients = Clients::open(&place, BUCKET, Way::Lane).await?;
            Audit::of(common, &clients).await
        })?;
        self.findings.add_audit(&audit);
        if !common.roomy {
            self.findings.report.missing += audit.missing.len() as u64;
        }
        let Evicted::Exactly(evictions, there) = evicted else { return Ok(()) };
        for index in &audit.missing {
            if common.roomy || there.binary_search(index).is_ok() {
                common.fault(*index, "lost", "it was there before the kill");
            }
        }
        if audit.missing.len() as u64 > *evictions {
            let missing = audit.missing.len();
            let fault = format!("more lost than evicted, {missing} evictions=`{evictions}`");
            common.faults.add(fault);
        }
        Ok(())
    }

    /// Looks at the daemon's own measurements of its start.
    fn look_at_recovery(&mut self) -> anyhow::Result<()> {
        let restored = self.daemon.metric("kvlease_restored_objects")? as u64;
        let report = &mut self.findings.report;
        report.restored += restored;
        report.restored_max = report.restored_max.max(restored);
        let took = self.daemon.metric("kvlease_recovery_seconds")?;
        self.findings.times.recovery.add(Duration::from_secs_f64(took));
        let dropped = self.daemon.metric("kvlease_recovery_dropped_objects")?;
        if dropped > 0.0 {
            let log = self.daemon.log();
            self.common
                .faults
                .add(format!("in the manifest and not taken over: {dropped} log:\n{log}"));
        }
        Ok(())
    }

    fn below(&mut self, span: Duration) -> Duration {
        Duration::from_micros(self.draws.below(span.as_micros() as u64))
    }
}
