//! Reader: leases objects, copies them out of shared memory, and checks every byte.
//!
//! An expired lease entitles to nothing: a copy counts only if the reader's own clock, from before
//! its request left, says that the lease still held when the copy was done. A copy that counts must
//! be right, always.

use std::{
    io, mem,
    time::{Duration, Instant},
};

use kvlease_harness::oracle::KeyState;
use kvlease_types::Key;

use super::{
    kept::{Kept, KeptLeases},
    progress::Activity,
    session::Session,
};
use crate::{
    clients::{Leased, Seen, Way},
    counts::Count,
};

/// Share of reads over HTTP, and of calls that ask only whether there is an object, in percent.
const FETCH_PERCENT: u64 = 15;
const LOOK_PERCENT: u64 = 5;

/// Share of times to live that are shorter than a large copy, in percent, and the longest of them.
const SHORT_PERCENT: u64 = 10;
const SHORT_TTL_MAX: Duration = Duration::from_millis(4);

/// Most objects that are leased together over the fast lane, and share of them that are verified
/// where they are, in percent.
const BATCH_MAX: u64 = 8;
const VIEW_PERCENT: u64 = 30;

/// Share of reads over the fast lane that look into the published index first, in percent.
const INDEX_PERCENT: u64 = 50;

/// Share of leases that are left to expire, kept, and of the latter renewed, in percent; the rest
/// is released.
const ABANDON_PERCENT: u64 = 8;
const KEEP_PERCENT: u64 = 30;
const RENEW_PERCENT: u64 = 50;

/// Longest wait for a pending object.
const WAIT_MAX: Duration = Duration::from_millis(200);

pub(super) struct Reader {
    session: Session,
    ttl_max: Duration,
    kept: KeptLeases,
    buffer: Vec<u8>,
}

impl Reader {
    pub(super) fn new(session: Session, ttl_max: Duration) -> Self {
        Self { session, ttl_max, kept: KeptLeases::default(), buffer: Vec::new() }
    }

    pub(super) async fn run(mut self) -> anyhow::Result<()> {
        loop {
            while let Some(kept) = self.kept.take_due() {
                self.read_again(kept).await?;
            }
            let index = self.session.workload.wanted(&mut self.session.draws);
            match self.session.draws.below(100) {
                dice if dice < FETCH_PERCENT => self.fetch(index).await?,
                dice if dice < FETCH_PERCENT + LOOK_PERCENT => self.look(index).await,
                _ => self.read(index).await?,
            }
            self.session.progress.end()?;
        }
    }

    async fn read(&mut self, index: usize) -> anyhow::Result<()> {
        let session = &mut self.session;
        let mut indices = vec![index];
        if session.way == Way::Lane {
            let more = session.draws.below(BATCH_MAX);
            indices.extend((0..more).map(|_| session.workload.wanted(&mut session.draws)));
        }
        let mut keys: Vec<_> = indices.iter().map(|index| session.key(*index)).collect();
        // From before the request: versions that the oracle rules out now must not be seen.
        let before = indices.iter().map(|index| session.oracle.get(*index));
        let mut before = before.collect::<io::Result<Vec<_>>>()?;
        if session.way == Way::Lane && session.draws.percent(INDEX_PERCENT) {
            session.progress.begin(Activity::Read)?;
            for place in (0..keys.len()).rev() {
                if self.read_indexed(&keys[place], indices[place], &before[place])? {
                    drop((keys.remove(place), indices.remove(place), before.remove(place)));
                }
            }
        }
        let session = &mut self.session;
        if keys.is_empty() {
            return Ok(());
        }
        let ttl_max =
            if session.draws.percent(SHORT_PERCENT) { SHORT_TTL_MAX } else { self.ttl_max };
        let ttl = Duration::from_micros(1 + session.draws.below(ttl_max.as_micros() as u64));
        let wait = Duration::from_millis(session.draws.below(WAIT_MAX.as_millis() as u64));
        session.progress.begin(Activity::Read)?;
        let leases = match session.clients.lease(session.way, &keys, wait, ttl).await {
            Ok(leases) => leases,
            Err(error) => {
                session.failed("a lease request", &error);
                return Ok(());
            }
        };
        for ((lease, index), before) in leases.into_iter().zip(indices).zip(before) {
            match lease {
                Some(lease) => self.read_leased(lease, index, before).await?,
                None => self.session.progress.add(Count::Missed, 1),
            }
        }
        Ok(())
    }

    /// Reads an object without a lease. Returns false if it has to be leased.
    fn read_indexed(&mut self, key: &Key, index: usize, before: &KeyState) -> anyhow::Result<bool> {
        let Some(found) = self.session.clients.find_indexed(key) else { return Ok(false) };
        self.session.progress.add(Count::Indexed, 1);
        Ok(self.copy(&found, index, before, Count::Copied)?.is_some())
    }

    async fn read_leased(
        &mut self,
        lease: Leased,
        index: usize,
        before: KeyState,
    ) -> anyhow::Result<()> {
        let way = match lease.way() {
            Way::Http => Count::Leased,
            Way::Lane => Count::LeasedLane,
        };
        self.session.progress.add(way, 1);
        let Some(version) = self.copy(&lease, index, &before, Count::Copied)? else {
            return self.release(lease).await;
        };
        self.part(Kept { lease, index, before, version, due: Instant::now(), renew: false }).await
    }

    /// Decides the fate of a lease whose object was read.
    async fn part(&mut self, mut kept: Kept) -> anyhow::Result<()> {
        let draws = &mut self.session.draws;
        match draws.below(100) {
            dice if dice < ABANDON_PERCENT => {
                self.session.progress.add(Count::Abandoned, 1);
                // Not even the guard's own release may run: this client forgets its lease.
                mem::forget(kept.lease);
                Ok(())
            }
            dice if dice < ABANDON_PERCENT + KEEP_PERCENT && self.kept.has_room() => {
                // A little beyond the deadline as well, where a copy must be discarded.
                let left = kept.lease.deadline().saturating_duration_since(Instant::now());
                let pause = left.mul_f64(draws.below(1100) as f64 / 1000.0);
                kept.due = Instant::now() + pause;
                kept.renew = draws.percent(RENEW_PERCENT);
                self.kept.keep(kept);
                Ok(())
            }
            _ => self.release(kept.lease).await,
        }
    }

    async fn read_again(&mut self, mut kept: Kept) -> anyhow::Result<()> {
        self.session.progress.begin(Activity::Read)?;
        if kept.renew {
            match kept.lease.renew(self.ttl_max).await {
                Ok(true) => self.session.progress.add(Count::Renewed, 1),
                Ok(false) => self.session.progress.add(Count::RenewedLate, 1),
                Err(error) => self.session.failed("a renewal", &error),
            }
        }
        let copied = self.copy(&kept.lease, kept.index, &kept.before, Count::CopiedAgain)?;
        let Some(version) = copied else { return self.release(kept.lease).await };
        if version != kept.version {
            self.session.progress.add(Count::WrongVersions, 1);
            let (key, first) = (self.session.key(kept.index), kept.version);
            eprintln!(
                "soak reader: another version under one lease, key=`{key}` first=`{first:?}` now=`{version:?}`"
            );
        }
        self.part(kept).await
    }

    async fn release(&mut self, lease: Leased) -> anyhow::Result<()> {
        match lease.release().await {
            Ok(()) => self.session.progress.add(Count::Released, 1),
            Err(error) => self.session.failed("a release", &error),
        }
        Ok(())
    }

    /// Copies a leased object and judges it. `None` if the lease ended first; `Some(None)` if its
    /// bytes were wrong.
    fn copy(
        &mut self,
        lease: &Leased,
        index: usize,
        before: &KeyState,
        counts_as: Count,
    ) -> anyhow::Result<Option<Option<u64>>> {
        if lease.way() == Way::Lane && self.session.draws.percent(VIEW_PERCENT) {
            match lease.verify_in_place()? {
                Some(true) => self.session.progress.add(Count::Viewed, 1),
                Some(false) => self.judge(index, before, &Seen::WrongChecksum, "in place")?,
                None => {}
            }
        }
        let seen = lease.read(&mut self.buffer)?;
        if seen == Seen::Late {
            self.session.progress.add(Count::Late, 1);
            return Ok(None);
        }
        self.session.progress.add(counts_as, 1);
        self.judge(index, before, &seen, &format!("{:?}", lease.way()))?;
        Ok(Some(if let Seen::Version(version) = seen { Some(version) } else { None }))
    }

    async fn fetch(&mut self, index: usize) -> anyhow::Result<()> {
        let before = self.session.oracle.get(index)?;
        self.session.progress.begin(Activity::Read)?;
        let key = self.session.key(index);
        match self.session.clients.fetch(&key, &mut self.buffer).await {
            Ok(Seen::Absent) => self.session.progress.add(Count::FetchMissed, 1),
            Ok(seen) => {
                self.session.progress.add(Count::Fetched, 1);
                self.judge(index, &before, &seen, "HTTP")?;
            }
            Err(error) => self.session.failed("a read over HTTP", &error),
        }
        Ok(())
    }

    async fn look(&mut self, index: usize) {
        let key = self.session.key(index);
        match self.session.clients.exists(self.session.way, &key).await {
            Ok(_) => self.session.progress.add(Count::Looked, 1),
            Err(error) => self.session.failed("a look", &error),
        }
    }

    /// Counts the bytes in the buffer and every fault of a read.
    fn judge(
        &mut self,
        index: usize,
        before: &KeyState,
        seen: &Seen,
        way: &str,
    ) -> anyhow::Result<()> {
        let Session { workload, oracle, progress, .. } = &mut self.session;
        let after = oracle.get(index)?;
        progress.add(Count::BytesVerified, self.buffer.len() as u64);
        let (count, more) = match seen {
            Seen::Version(version) => {
                let right_len = workload.len(index, *version) == self.buffer.len();
                if before.allows(&after, *version) && right_len {
                    return Ok(());
                }
                (Count::WrongVersions, 1)
            }
            Seen::WrongBytes(wrong) => (Count::WrongBytes, wrong.count),
            Seen::WrongChecksum => (Count::Errors, 1),
            Seen::Absent | Seen::Late => return Ok(()),
        };
        progress.add(count, more);
        let key = workload.key(index);
        eprintln!(
            "soak reader: {seen}, key=`{key}` way=`{way}` before=`{before:?}` after=`{after:?}`"
        );
        Ok(())
    }
}
