//! A reader: leases objects, copies them out of shared memory, and checks every byte.
//!
//! What an expired lease shows is nobody's promise: a copy counts only if the reader's own clock,
//! from before its request left, says that the lease still held when the copy was done. Those that
//! count must be right, always.

use std::{
    io, mem,
    time::{Duration, Instant},
};

use kvlease_client::Checksum;
use kvlease_sys::Digest;

use super::{
    client::{CALL_WITHIN, Session},
    grant::Grant,
    held::{Held, HeldLeases},
    ledger::{Activity, Count},
    versions::Known,
};
use crate::Payload;

/// How often a read goes over HTTP, and how often only the length is asked for, in percent.
const FETCH_PERCENT: u64 = 15;
const LOOK_PERCENT: u64 = 5;

/// How often the time to live is shorter than a large copy, in percent, and how short it is then.
const SHORT_PERCENT: u64 = 10;
const SHORT_TTL_MAX: Duration = Duration::from_millis(4);

/// How many objects are leased together over the fast lane at most, and how often one is looked at
/// where it is, in percent.
const BATCH_MAX: u64 = 8;
const VIEW_PERCENT: u64 = 30;

/// What becomes of a lease after the copy, in percent; the rest is released.
const ABANDON_PERCENT: u64 = 8;
const KEEP_PERCENT: u64 = 30;
const RENEW_PERCENT: u64 = 50;

/// The longest wait for an object that is being written.
const WAIT_MAX: Duration = Duration::from_millis(200);

pub(super) struct Reader {
    session: Session,
    ttl_max: Duration,
    held: HeldLeases,
    buffer: Vec<u8>,
}

/// What a copy came to.
enum Copy {
    /// It counts, and had this version unless its bytes were wrong.
    Good(Option<u64>),
    /// The lease ended first.
    Late,
}

impl Reader {
    pub(super) fn new(session: Session, ttl_max: Duration) -> Self {
        Self { session, ttl_max, held: HeldLeases::default(), buffer: Vec::new() }
    }

    pub(super) async fn run(mut self) -> anyhow::Result<()> {
        loop {
            while let Some(held) = self.held.take_due() {
                self.look_again(held).await?;
            }
            let index = self.session.workload.wanted(&mut self.session.random);
            match self.session.random.below(100) {
                dice if dice < FETCH_PERCENT => self.fetch(index).await?,
                dice if dice < FETCH_PERCENT + LOOK_PERCENT => self.look(index).await?,
                _ => self.read(index).await?,
            }
            self.session.ledger.end()?;
        }
    }

    async fn read(&mut self, index: usize) -> anyhow::Result<()> {
        let session = &mut self.session;
        let mut indices = vec![index];
        if session.lane.is_some() {
            let more = session.random.below(BATCH_MAX);
            indices.extend((0..more).map(|_| session.workload.wanted(&mut session.random)));
        }
        let keys: Vec<_> = indices.iter().map(|index| session.key(*index)).collect();
        let before = indices.iter().map(|index| session.versions.get(*index));
        let before = before.collect::<io::Result<Vec<_>>>()?;
        let ttl_max =
            if session.random.percent(SHORT_PERCENT) { SHORT_TTL_MAX } else { self.ttl_max };
        let ttl = Duration::from_micros(1 + session.random.below(ttl_max.as_micros() as u64));
        let wait = Duration::from_millis(session.random.below(WAIT_MAX.as_millis() as u64));
        session.ledger.begin(Activity::Read)?;
        let leases = match session.lease(&keys, wait, ttl).await {
            Ok(leases) => leases,
            Err(error) => {
                session.failed("a lease request", &error);
                return Ok(());
            }
        };
        for ((lease, index), before) in leases.into_iter().zip(indices).zip(before) {
            match lease {
                Some(lease) => self.read_leased(lease, index, before).await?,
                None => self.session.ledger.add(Count::Missed, 1),
            }
        }
        Ok(())
    }

    async fn read_leased(
        &mut self,
        lease: Grant,
        index: usize,
        before: Known,
    ) -> anyhow::Result<()> {
        let way = match &lease {
            Grant::Http(_) => Count::Leased,
            Grant::Lane(_) => Count::LeasedLane,
        };
        self.session.ledger.add(way, 1);
        let Copy::Good(version) = self.copy(&lease, index, &before)? else {
            return self.release(lease).await;
        };
        self.session.ledger.add(Count::Copied, 1);
        self.part(Held { lease, index, before, version, due: Instant::now(), renew: false }).await
    }

    /// Decides what becomes of a lease whose object was read.
    async fn part(&mut self, mut held: Held) -> anyhow::Result<()> {
        let random = &mut self.session.random;
        match random.below(100) {
            dice if dice < ABANDON_PERCENT => {
                self.session.ledger.add(Count::Abandoned, 1);
                // Not even the guard's own release may run: this client forgets its lease.
                mem::forget(held.lease);
                Ok(())
            }
            dice if dice < ABANDON_PERCENT + KEEP_PERCENT && self.held.has_room() => {
                // A little beyond the deadline as well, where a copy must be discarded.
                let left = held.lease.deadline().saturating_duration_since(Instant::now());
                let pause = left.mul_f64(random.below(1100) as f64 / 1000.0);
                held.due = Instant::now() + pause;
                held.renew = random.percent(RENEW_PERCENT);
                self.held.keep(held);
                Ok(())
            }
            _ => self.release(held.lease).await,
        }
    }

    async fn look_again(&mut self, mut held: Held) -> anyhow::Result<()> {
        self.session.ledger.begin(Activity::Read)?;
        if held.renew {
            match held.lease.renew(self.ttl_max).await {
                Ok(true) => self.session.ledger.add(Count::Renewed, 1),
                Ok(false) => self.session.ledger.add(Count::RenewedLate, 1),
                Err(error) => self.session.failed("a renewal", &error),
            }
        }
        let Copy::Good(version) = self.copy(&held.lease, held.index, &held.before)? else {
            return self.release(held.lease).await;
        };
        self.session.ledger.add(Count::CopiedAgain, 1);
        if version != held.version {
            self.session.ledger.add(Count::WrongVersions, 1);
            let (key, first) = (self.session.key(held.index), held.version);
            eprintln!(
                "soak reader: another version under one lease, key=`{key}` first=`{first:?}` now=`{version:?}`"
            );
        }
        self.part(held).await
    }

    async fn release(&mut self, lease: Grant) -> anyhow::Result<()> {
        match lease.release().await {
            Ok(()) => self.session.ledger.add(Count::Released, 1),
            Err(error) => self.session.failed("a release", &error),
        }
        Ok(())
    }

    /// Copies a leased object and checks it.
    fn copy(&mut self, lease: &Grant, index: usize, before: &Known) -> anyhow::Result<Copy> {
        let attachment = self.session.attachment(lease)?;
        if matches!(lease, Grant::Lane(_)) && self.session.random.percent(VIEW_PERCENT) {
            let mut digest = Digest::new();
            attachment.digest_rest(lease.extents(), 0, &mut digest)?;
            self.check_sum(lease, index, digest.finish(), Some(Count::Viewed));
        }
        self.buffer.resize(lease.len().bytes() as usize, 0);
        let checksum = attachment.copy_out_digested(lease.extents(), &mut self.buffer)?;
        if !lease.is_live() {
            self.session.ledger.add(Count::Late, 1);
            return Ok(Copy::Late);
        }
        self.check_sum(lease, index, checksum, None);
        let version = self.verify(index, before, lease.way())?;
        Ok(Copy::Good(version))
    }

    /// Compares the sum of what was read with the daemon's, if the lease lives: otherwise it does
    /// not count.
    fn check_sum(
        &mut self,
        lease: &Grant,
        index: usize,
        actual: Checksum,
        counts_as: Option<Count>,
    ) {
        if !lease.is_live() {
            return;
        }
        if let Some(count) = counts_as {
            self.session.ledger.add(count, 1);
        }
        if lease.checksum() != Some(actual) {
            self.session.ledger.add(Count::Errors, 1);
            let (key, way) = (self.session.key(index), lease.way());
            eprintln!("soak reader: another checksum, key=`{key}` way=`{way}`");
        }
    }

    async fn fetch(&mut self, index: usize) -> anyhow::Result<()> {
        let before = self.session.versions.get(index)?;
        self.session.ledger.begin(Activity::Read)?;
        let mut stream = match self.session.client.get(&self.session.key(index)).await {
            Ok(Some(stream)) => stream,
            Ok(None) => {
                self.session.ledger.add(Count::FetchMissed, 1);
                return Ok(());
            }
            Err(error) => {
                self.session.failed("a read over HTTP", &error);
                return Ok(());
            }
        };
        self.buffer.clear();
        loop {
            match stream.next().await {
                Ok(Some(piece)) => self.buffer.extend_from_slice(&piece),
                Ok(None) => break,
                Err(error) => {
                    self.session.failed("a read over HTTP", &error);
                    return Ok(());
                }
            }
        }
        self.session.ledger.add(Count::Fetched, 1);
        self.verify(index, &before, "HTTP")?;
        Ok(())
    }

    async fn look(&mut self, index: usize) -> anyhow::Result<()> {
        let key = self.session.key(index);
        if let Some(lane) = &self.session.lane {
            match lane.exists(&[key], false, CALL_WITHIN).await {
                Ok(_) => self.session.ledger.add(Count::Looked, 1),
                Err(error) => self.session.failed("a look", &error),
            }
            return Ok(());
        }
        match self.session.client.head(&key).await {
            Ok(_) => self.session.ledger.add(Count::Looked, 1),
            Err(error) => self.session.failed("a look", &error),
        }
        Ok(())
    }

    /// Checks every byte of the buffer. `None` if one was wrong.
    fn verify(&mut self, index: usize, before: &Known, way: &str) -> anyhow::Result<Option<u64>> {
        let after = self.session.versions.get(index)?;
        let (key, ledger) = (self.session.workload.key(index), &mut self.session.ledger);
        ledger.add(Count::BytesVerified, self.buffer.len() as u64);
        let version = match Payload::verify(&key, &self.buffer) {
            Ok(version) => version,
            Err(wrong) => {
                ledger.add(Count::WrongBytes, wrong.count);
                eprintln!("soak reader: wrong bytes, key=`{key}` way=`{way}` {wrong}");
                return Ok(None);
            }
        };
        let right_len = self.session.workload.payload(index, version).len() == self.buffer.len();
        if !before.allows(&after, version) || !right_len {
            ledger.add(Count::WrongVersions, 1);
            eprintln!(
                "soak reader: a wrong version, key=`{key}` way=`{way}` version=`{version}` \
                 before=`{before:?}` after=`{after:?}`"
            );
        }
        Ok(Some(version))
    }
}
