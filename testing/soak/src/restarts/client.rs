//! A client: a thread that stores and removes the objects of its own keys and reads those of all,
//! over HTTP and over the fast lane, until the daemon is killed under it, and then again.
//!
//! What it holds when that happens it goes on using, as any client may: leases until their
//! deadline, and reservations too.

use std::{thread, time::Duration};

use kvlease_client::lane::Reservation;
use tokio::runtime::Builder;

use super::{
    common::Common,
    session::{Leased, Seen, Session, Way},
};
use crate::{Random, soak::Count};

/// What a turn is, in percent; the rest are reads under a lease.
const STORE_PERCENT: u64 = 45;
const FETCH_PERCENT: u64 = 12;

/// How many objects are leased together at most.
const LEASES_MAX: u64 = 8;

/// How often a lease is kept or left to expire, in percent, and how many are kept.
const KEEP_PERCENT: u64 = 20;
const ABANDON_PERCENT: u64 = 5;
const KEPT_MAX: usize = 4;

/// The longest wait for an object that is being written.
const WAIT_MAX: Duration = Duration::from_millis(50);

pub(super) struct Client<'a> {
    pub(super) common: &'a Common,
    pub(super) number: usize,
    pub(super) random: Random,
    /// Reservations that are never committed, and what is written into them while they last.
    pub(super) strays: Vec<(Reservation, Vec<u8>)>,
    kept: Vec<Kept>,
    /// Leases that are never released: not even by their guards, before their daemon is dead.
    abandoned: Vec<Leased>,
    buffer: Vec<u8>,
}

/// A lease that is kept, maybe beyond the daemon that granted it.
struct Kept {
    leased: Leased,
    index: usize,
    version: u64,
}

impl<'a> Client<'a> {
    pub(super) fn new(common: &'a Common, number: usize) -> Self {
        let random = Random::of(common.seed, number as u64);
        let (strays, kept, abandoned, buffer) = Default::default();
        Self { common, number, random, strays, kept, abandoned, buffer }
    }

    /// Works whenever the gate is open, until there is nothing more to do.
    pub(super) fn run(mut self) -> anyhow::Result<()> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (gate, mut last) = (&self.common.gate, 0);
        while let Some((turn, place)) = gate.enter(last) {
            last = turn;
            let work = async {
                let session = Session::open(&place).await?;
                self.abandoned.clear();
                while gate.is_open() {
                    self.turn(&session).await?;
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

    async fn turn(&mut self, session: &Session) -> anyhow::Result<()> {
        self.strays.retain(|(reservation, bytes)| reservation.fill([bytes.as_slice()]).is_some());
        self.look_again()?;
        let dice = self.random.below(100);
        if dice < STORE_PERCENT {
            if let Some(_storing) = self.common.gate.begin_store() {
                return self.store(session).await;
            }
            let index = self.any_own();
            return self.remove(session, index).await;
        }
        if dice < STORE_PERCENT + FETCH_PERCENT {
            return self.fetch(session).await;
        }
        self.read(session).await
    }

    async fn fetch(&mut self, session: &Session) -> anyhow::Result<()> {
        let Common { objects, book, counts, .. } = self.common;
        let index = objects.wanted(&mut self.random);
        let before = book.get(index);
        let seen = session.fetch(objects.key(index), &mut self.buffer).await?;
        self.common.judge(index, &before, &seen, "over HTTP");
        counts.add(if seen == Seen::Absent { Count::FetchMissed } else { Count::Fetched }, 1);
        if seen != Seen::Absent {
            counts.add(Count::BytesVerified, self.buffer.len() as u64);
        }
        Ok(())
    }

    async fn read(&mut self, session: &Session) -> anyhow::Result<()> {
        let Common { objects, book, ttl_max, .. } = self.common;
        let way = if self.random.percent(50) { Way::Http } else { Way::Lane };
        let wanted = if way == Way::Lane { 1 + self.random.below(LEASES_MAX) } else { 1 };
        let wanted = (0..wanted).map(|_| objects.wanted(&mut self.random));
        let wanted: Vec<_> = wanted.map(|index| (index, book.get(index))).collect();
        let keys: Vec<_> = wanted.iter().map(|(index, _)| objects.key(*index).clone()).collect();
        let ttl = Duration::from_micros(1 + self.random.below(ttl_max.as_micros() as u64));
        let wait = Duration::from_millis(self.random.below(WAIT_MAX.as_millis() as u64));
        let leases = session.lease(way, &keys, wait, ttl).await?;
        for (leased, (index, before)) in leases.into_iter().zip(wanted) {
            let counts = &self.common.counts;
            let Some(leased) = leased else {
                counts.add(Count::Missed, 1);
                self.common.judge(index, &before, &Seen::Absent, "leased");
                continue;
            };
            counts.add(if way == Way::Lane { Count::LeasedLane } else { Count::Leased }, 1);
            let seen = leased.look(&mut self.buffer)?;
            self.common.judge(index, &before, &seen, "leased");
            self.count(&seen, Count::Copied);
            match seen {
                Seen::Version(version) => self.part(Kept { leased, index, version }).await?,
                _ => leased.release().await?,
            }
        }
        Ok(())
    }

    /// Decides what becomes of a lease.
    async fn part(&mut self, kept: Kept) -> anyhow::Result<()> {
        match self.random.below(100) {
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

    /// Looks at one that was kept, until it ends.
    fn look_again(&mut self) -> anyhow::Result<()> {
        if self.kept.is_empty() {
            return Ok(());
        }
        let place = self.random.below(self.kept.len() as u64) as usize;
        let Kept { leased, index, version } = &self.kept[place];
        let seen = leased.look(&mut self.buffer)?;
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

    /// Pauses this thread, with whatever is under way.
    pub(super) fn rest(span: Duration) {
        thread::sleep(span);
    }
}
