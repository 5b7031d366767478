//! A client of the fast lane: stores, reads, looks up and removes batches of objects of its own.

use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use kvlease_api::lane::ReserveStatus;
use kvlease_client::{
    BucketName, ByteSize, Key,
    lane::{Found, Lane, LaneError, LanePut},
};
use tokio::runtime::{Builder, Runtime};

use super::{BUCKET, report::Tally, rest};
use crate::{Daemon, Payload, Random};

/// How many objects it has, how many it asks for at a time at most, and how long they are: some
/// small, some large.
const KEYS: u64 = 64;
const BATCH_MAX: u64 = 32;
const LEN_MIN: u64 = 1 << 10;
const LEN_MAX: u64 = 256 << 10;

/// How long a call may take before the daemon counts as stuck.
const CALL_WITHIN: Duration = Duration::from_secs(60);

/// For how long it leases.
const TTL: Duration = Duration::from_secs(60);

pub(super) struct LaneClient {
    lane: Lane,
    runtime: Runtime,
    random: Random,
    number: usize,
    tally: Tally,
    buffer: Vec<u8>,
}

impl LaneClient {
    pub(super) fn open(daemon: &Daemon, seed: u64, number: usize) -> anyhow::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let socket = daemon.segment().socket_path();
        let open = Lane::open(&socket, BucketName::new(BUCKET)?, true, 1, CALL_WITHIN);
        let lane = runtime.block_on(open)?;
        let random = Random::of(seed, number as u64);
        Ok(Self { lane, runtime, random, number, tally: Tally::default(), buffer: Vec::new() })
    }

    /// Works until it is told to stop, and removes what it stored.
    pub(super) fn work(
        mut self,
        pause: Duration,
        goes_on: impl Fn() -> bool,
    ) -> anyhow::Result<Tally> {
        while goes_on() {
            let first = self.random.below(KEYS);
            let end = first + 1 + self.random.below(BATCH_MAX);
            let keys = self.keys(first..end.min(KEYS))?;
            match self.random.below(8) {
                0 => {
                    self.remove(&keys)?;
                    self.store(&keys)?;
                }
                1 => {
                    let lane = self.lane.clone();
                    self.call(lane.exists(&keys, true, CALL_WITHIN))?;
                }
                _ => self.read(&keys)?,
            }
            rest(pause);
        }
        let all = self.keys(0..KEYS)?;
        self.remove(&all)?;
        Ok(self.tally)
    }

    fn store(&mut self, keys: &[Key]) -> anyhow::Result<()> {
        let (lane, version) = (self.lane.clone(), self.tally.calls.len() as u64);
        let random = &mut self.random;
        let bytes = keys.iter().map(|key| {
            let len = random.log_between(LEN_MIN, LEN_MAX) as usize;
            Payload::new(key.as_str(), version, len).bytes()
        });
        let bytes: Vec<_> = bytes.collect();
        let len = |bytes: &Vec<u8>| ByteSize::new(bytes.len() as u64);
        let wishes: Vec<_> = keys.iter().zip(bytes.iter().map(len)).collect();
        let mut filled = Vec::new();
        for (reserved, bytes) in
            self.call(lane.reserve(&wishes, CALL_WITHIN))?.into_iter().zip(&bytes)
        {
            match reserved {
                Ok(reservation) => {
                    let Some(checksum) = reservation.fill([bytes.as_slice()]) else { continue };
                    self.tally.bytes += bytes.len() as u64;
                    filled.push((reservation, checksum));
                }
                // All of it is leased or being written.
                Err(LanePut::Refused(ReserveStatus::NoSpace)) => {}
                Err(outcome) => bail!("refused, outcome=`{outcome:?}`"),
            }
        }
        self.call(lane.commit(filled, CALL_WITHIN)).map(drop)
    }

    fn read(&mut self, keys: &[Key]) -> anyhow::Result<()> {
        let lane = self.lane.clone();
        let found = self.call(lane.acquire(keys, false, Duration::ZERO, TTL, CALL_WITHIN))?;
        for (found, key) in found.into_iter().zip(keys) {
            let Found::Leased(lease) = found else { continue };
            self.buffer.resize(lease.len().bytes() as usize, 0);
            let arena = lane.attachment();
            let checksum = arena.copy_out_digested(lease.extents(), &mut self.buffer)?;
            // A thread may wait for its turn for longer than the lease.
            if !lease.is_live() {
                continue;
            }
            let key = key.as_str();
            ensure!(checksum == lease.checksum(), "another checksum, key=`{key}`");
            let verified = Payload::verify(key, &self.buffer);
            verified.map_err(|wrong| anyhow::anyhow!("wrong bytes, key=`{key}` {wrong}"))?;
            self.tally.bytes += self.buffer.len() as u64;
        }
        Ok(())
    }

    fn remove(&mut self, keys: &[Key]) -> anyhow::Result<()> {
        let lane = self.lane.clone();
        self.call(lane.remove(keys, CALL_WITHIN)).map(drop)
    }

    fn call<T>(&mut self, call: impl Future<Output = Result<T, LaneError>>) -> anyhow::Result<T> {
        let started = Instant::now();
        let answer = self.runtime.block_on(call)?;
        self.tally.calls.push(started.elapsed());
        Ok(answer)
    }

    fn keys(&self, numbers: std::ops::Range<u64>) -> anyhow::Result<Vec<Key>> {
        let key = |number| Ok(Key::new(format!("lane {} {number}", self.number))?);
        numbers.map(key).collect()
    }
}
