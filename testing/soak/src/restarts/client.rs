//! Client thread: it stores and removes the objects of its own keys and reads those of all keys,
//! over HTTP and over the fast lane, until the daemon is killed under it, and then again.
//!
//! Leases and reservations of the killed daemon it goes on using, as any client may, until their
//! deadline.

use std::time::Duration;

use kvlease_harness::oracle::KeyState;
use kvlease_testing::Draws;
use tokio::runtime::Builder;

use super::{common::Common, gate::BUCKET};
use crate::{
    clients::{Clients, Leased, Reservation, Seen, Way},
    counts::Count,
};

/// Share of stores and of reads over HTTP, in percent; the rest are reads under a lease.
const STORE_PERCENT: u64 = 45;
const FETCH_PERCENT: u64 = 12;

/// Most objects that are leased together.
const LEASES_MAX: u64 = 8;

/// Share of leases that are kept or left to expire, in percent, and most that are kept.
const KEEP_PERCENT: u64 = 20;
const ABANDON_PERCENT: u64 = 5;
const KEPT_MAX: usize = 4;

/// Longest wait for a pending object.
const WAIT_MAX: Duration = Duration::from_millis(50);

pub(super) struct Client<'a> {
    pub(super) common: &'a Common,
    pub(super) number: usize,
    pub(super) draws: Draws,
    /// Reservations that are never committed, and the bytes that are written into them while they
    /// last.
    pub(super) strays: Vec<(Reservation, Vec<u8>)>,
    kept: Vec<Kept>,
    /// Leases that are never released: not even by their guards, before their daemon is dead.
    abandoned: Vec<Leased>,
    buffer: Vec<u8>,
}

/// Lease that is kept, maybe beyond the daemon that granted it.
struct Kept {
    leased: Leased,
    index: usize,
    version: u64,
}

impl<'a> Client<'a> {
    pub(super) fn new(common: &'a Common, number: usize) -> Self {
        let draws = Draws::of(common.seed, number as u64);
        let (strays, kept, abandoned, buffer) = Default::default();
        Self { common, number, draws, strays, kept, abandoned, buffer }
    }

    /// Works whenever the gate is open, until it ends.
    pub(super) fn run(mut self) -> anyhow::Result<()> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (gate, mut last) = (&self.common.gate, 0);
        while let Some((turn, place)) = gate.enter(last) {
            last = turn;
            let work = async {
                let clients = Clients::open(&place, BUCKET, Way::Lane).await?;
                self.abandoned.clear();
                while gate.is_open() {
                    self.turn(&clients).await?;
                }
                anyhow::Ok(())
            };
            // A call that fails since the daemon was killed fails after the gate was closed.
            if let Err(error) = runtime.block_on(work)
                && gate.is_open()
            {
                let number = self.number;
                self.common.faults.add(format!(
                    "a call failed while the daemon lived, client=`{number}` error=`{error:?}`"
                ));
            }
        }
        Ok(())
    }

    async fn turn(&mut self, clients: &Clients) -> anyhow::Result<()> {
        self.strays.retain(|(reservation, bytes)| reservation.fill([bytes.as_slice()]).is_some());
        self.read_again()?;
        let dice = self.draws.below(100);
        if dice < STORE_PERCENT {
            if let Some(_storing) = self.common.gate.begin_store() {
                return self.store(clients).await;
            }
            let index = self.any_own();
            return self.remove(clients, index).await;
        }
        if dice < STORE_PERCENT + FETCH_PERCENT {
            return self.fetch(clients).await;
        }
        self.read(clients).await
    }

    async fn fetch(&mut self, clients: &Clients) -> anyhow::Result<()> {
        let Common { objects, oracle, counts, .. } = self.common;
        let index = objects.wanted(&mut self.draws);
        let before = oracle.get(index);
        let seen = clients.fetch(objects.key(index), &mut self.buffer).await?;
        self.common.judge(index, &before, &seen, "over HTTP");
        counts.add(if seen == Seen::Absent { Count::FetchMissed } else { Count::Fetched }, 1);
        if seen != Seen::Absent {
            counts.add(Count::BytesVerified, self.buffer.len() as u64);
        }
        Ok(())
    }

    async fn read(&mut self, clients: &Clients) -> anyhow::Result<()> {
        let Common { objects, oracle, ttl_max, .. } = self.common;
        let way = if self.draws.percent(50) { Way::Http } else { Way::Lane };
        let wanted = if way == Way::Lane { 1 + self.draws.below(LEASES_MAX) } else { 1 };
        let wanted = (0..wanted).map(|_| objects.wanted(&mut self.draws));
        let wanted: Vec<_> = wanted.map(|index| (index, oracle.get(index))).collect();
        let keys: Vec<_> = wanted.iter().map(|(index, _)| objects.key(*index).clone()).collect();
        let ttl = Duration::from_micros(1 + self.draws.below(ttl_max.as_micros() as u64));
        let wait = Duration::from_millis(self.draws.below(WAIT_MAX.as_millis() as u64));
        if way == Way::Lane {
            for (index, before) in &wanted {
                self.read_indexed(clients, *index, before)?;
            }
        }
        let leases = clients.lease(way, &keys, wait, ttl).await?;
        for (leased, (index, before)) in leases.into_iter().zip(wanted) {
            let counts = &self.common.counts;
            let Some(leased) = leased else {
                counts.add(Count::Missed, 1);
                self.common.judge(index, &before, &Seen::Absent, "leased");
                continue;
            };
            counts.add(if way == Way::Lane { Count::LeasedLane } else { Count::Leased }, 1);
            let seen = leased.read(&mut self.buffer)?;
            self.common.judge(index, &before, &seen, "leased");
            self.count(&seen, Count::Copied);
            match seen {
                Seen::Version(version) => self.part(Kept { leased, index, version }).await?,
                _ => leased.release().await?,
            }
        }
        Ok(())
    }

    /// Reads an object without a lease, if the published index names it.
    fn read_indexed(
        &mut self,
        clients: &Clients,
        index: usize,
        before: &KeyState,
    ) -> anyhow::Result<()> {
        let Common { objects, counts, .. } = self.common;
        let Some(found) = clients.find_indexed(objects.key(index)) else { return Ok(()) };
        counts.add(Count::Indexed, 1);
        let seen = found.read(&mut self.buffer)?;
        self.common.judge(index, before, &seen, "without a lease");
        self.count(&seen, Count::Copied);
        Ok(())
    }

    /// Decides the fate of a lease.
    async fn part(&mut self, kept: Kept) -> anyhow::Result<()> {
        match self.draws.below(100) {
            dice if dice < ABANDON_PERCENT => {
                self.common.counts.add(Count::Abandoned, 1);
                self.abandoned.push(kept.leased);
            }
            dice if dice < ABANDON_PERCENT + KEEP_PERCENT && self.kept.len() < KEPT_MAX => {
                self.kept.push(kept);
            }
            _ => {
                kept.leased.release().await?;
                self.common.counts.add(Count::Released, 1);
            }
        }
        Ok(())
    }

    /// Reads again under a lease that was kept, until it ends.
    fn read_again(&mut self) -> anyhow::Result<()> {
        if self.kept.is_empty() {
            return Ok(());
        }
        let place = self.draws.below(self.kept.len() as u64) as usize;
        let Kept { leased, index, version } = &self.kept[place];
        let seen = leased.read(&mut self.buffer)?;
        self.count(&seen, Count::CopiedAgain);
        if seen == Seen::Late {
            drop(self.kept.swap_remove(place));
        } else if seen != Seen::Version(*version) {
            let how = format!("leased before, version=`{version}` seen=`{seen:?}`");
            self.common.fault(*index, "leased bytes changed", &how);
        }
        Ok(())
    }

    fn count(&self, seen: &Seen, count: Count) {
        let counts = &self.common.counts;
        match seen {
            Seen::Late => counts.add(Count::Late, 1),
            _ => {
                counts.add(count, 1);
                counts.add(Count::BytesVerified, self.buffer.len() as u64);
            }
        }
    }
}
