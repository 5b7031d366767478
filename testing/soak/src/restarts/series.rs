//! A series of kills on one segment.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use kvlease_client::ListReply;
use tokio::runtime::{Builder, Runtime};

use super::{
    BUCKET,
    audit::Audit,
    client::Client,
    common::Common,
    gate::Place,
    report::Findings,
    session::{Seen, Session, Way},
};
use crate::{Daemon, Leftover, Random, STARTS_WITHIN, interrupt::Interrupt, until};

/// How often a daemon that was just started is killed again, in percent, and how soon: it takes
/// about as long until it serves.
const EARLY_PERCENT: u64 = 25;
const EARLY_MAX: Duration = Duration::from_millis(40);

/// How often stores are held before a kill in an arena too small for everything, in percent.
const HELD_PERCENT: u64 = 60;

/// How often clients go on before every key was looked at, where nothing is evicted, in percent.
const UNAUDITED_PERCENT: u64 = 25;

/// For how long clients work at most before the next kill. Where there is little space, that which
/// may still be leased from before has to end first.
const WORK_MAX: Duration = Duration::from_millis(300);
const WORK_MAX_CRAMPED: Duration = Duration::from_millis(600);

/// One segment, the daemons that serve it one after the other, and what was found.
pub(super) struct Series<'a> {
    pub(super) common: &'a Common,
    pub(super) daemon: Daemon,
    /// For how long a lease, or what is left of it, may keep space.
    pub(super) lease_end: Duration,
    pub(super) interrupt: &'a Interrupt,
    pub(super) random: &'a mut Random,
    pub(super) findings: &'a mut Findings,
    runtime: Runtime,
}

/// What is known of evictions at a kill.
enum Evicted {
    /// There were so many, and the last of them before these keys were seen to be there.
    Exactly(u64, Vec<usize>),
    /// There may have been any number.
    Unknown,
}

impl<'a> Series<'a> {
    pub(super) fn new(
        common: &'a Common,
        daemon: Daemon,
        lease_end: Duration,
        interrupt: &'a Interrupt,
        random: &'a mut Random,
        findings: &'a mut Findings,
    ) -> anyhow::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self { common, daemon, lease_end, interrupt, random, findings, runtime })
    }

    /// Kills the daemon so many times while clients work, unless it is told to stop before. In the
    /// end every byte of the arena has to be free again.
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
            let killed = self.kill_all(kills);
            common.gate.end();
            killed.with_context(|| format!("the daemon's log:\n{}", self.daemon.log()))
        })?;
        let left = Leftover::of(&self.daemon, BUCKET, self.lease_end, self.interrupt);
        let end = match left {
            Ok(left) => Some((left, self.daemon.terminate()?.code())),
            // Nobody waits for it to become empty.
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

    /// What can be told of the daemon before it is killed.
    fn look_before(&mut self) -> anyhow::Result<Evicted> {
        let hold = !self.common.roomy && self.random.percent(HELD_PERCENT);
        if hold {
            self.common.gate.hold_stores();
            let held = until(STARTS_WITHIN, || self.common.gate.nothing_is_stored().then_some(()));
            held.context("a store does not end")?;
        }
        let there = if hold { self.list()? } else { Vec::new() };
        let evictions = self.daemon.stats()?.evictions;
        self.findings.report.evictions += evictions;
        for (metric, what) in [
            ("kvlease_corrupt_objects_total", "objects that the daemon found damaged"),
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

    /// The keys that have an object.
    fn list(&self) -> anyhow::Result<Vec<usize>> {
        let (mut keys, mut cursor) = (Vec::new(), 0);
        loop {
            let path = format!("/v1/kv/{BUCKET}?cursor={cursor}&limit=1000");
            let page: ListReply = self.daemon.fetch(&path)?;
            keys.extend(page.objects.into_iter().map(|object| object.key));
            match page.next_cursor {
                Some(next) => cursor = next,
                None => break,
            }
        }
        keys.sort_unstable();
        let objects = &self.common.objects;
        let is_there = |index: &usize| {
            keys.binary_search_by(|key| key.as_str().cmp(objects.key(*index).as_str())).is_ok()
        };
        Ok((0..objects.count()).filter(is_there).collect())
    }

    /// Kills the daemon, maybe several times before it serves again, and measures how long that
    /// takes. Returns how often it was killed.
    fn kill_and_start(&mut self, most: u64) -> anyhow::Result<u64> {
        ensure!(self.daemon.is_alive()?, "the daemon ended by itself");
        self.common.gate.close();
        let mut killed = Instant::now();
        self.daemon.kill()?;
        let mut kills = 1;
        let mut started = Instant::now();
        self.daemon.spawn()?;
        while kills < most && self.random.percent(EARLY_PERCENT) {
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

    /// Reads some object under a lease that must be there. Returns whether there is one.
    fn read_one(&mut self) -> anyhow::Result<bool> {
        let promised = self.common.book.promised();
        if promised.is_empty() {
            return Ok(false);
        }
        let index = promised[self.random.below(promised.len() as u64) as usize];
        let place = Place::of(&self.daemon)?;
        let Common { objects, book, ttl_max, .. } = self.common;
        let before = book.get(index);
        let seen = self.runtime.block_on(async {
            let session = Session::open(&place).await?;
            let keys = std::slice::from_ref(objects.key(index));
            let leases = session.lease(Way::Http, keys, Duration::ZERO, *ttl_max).await?;
            let Some(leased) = leases.into_iter().flatten().next() else {
                return Ok(Seen::Absent);
            };
            let seen = leased.look(&mut Vec::new())?;
            leased.release().await?;
            anyhow::Ok(seen)
        })?;
        self.common.judge(index, &before, &seen, "the first read after a restart");
        Ok(matches!(seen, Seen::Version(_)))
    }

    /// Looks at every key, unless clients are to go first, and judges what is not there.
    fn look_after(&mut self, evicted: &Evicted, left: u64) -> anyhow::Result<()> {
        let stopped = self.common.gate.await_waiting(self.common.clients, STARTS_WITHIN);
        ensure!(stopped, "a client does not notice that its daemon is dead");
        self.look_at_recovery()?;
        if self.common.roomy && left > 0 && self.random.percent(UNAUDITED_PERCENT) {
            self.findings.report.kills_unaudited += 1;
            return Ok(());
        }
        let place = Place::of(&self.daemon)?;
        let common = self.common;
        let audit = self.runtime.block_on(async {
            let session = Session::open(&place).await?;
            Audit::of(common, &session).await
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

    /// What the daemon says of its start.
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
            self.common.faults.add(format!("recorded and not taken over: {dropped} log:\n{log}"));
        }
        Ok(())
    }

    fn below(&mut self, span: Duration) -> Duration {
        Duration::from_micros(self.random.below(span.as_micros() as u64))
    }
}
