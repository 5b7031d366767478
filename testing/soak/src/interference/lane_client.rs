//! Client of the fast lane: it stores, reads, looks up and removes batches of objects of its own.

use std::time::{Duration, Instant};

use anyhow::bail;
use kvlease_harness::Payload;
use kvlease_testing::Draws;
use kvlease_types::Key;
use tokio::runtime::{Builder, Runtime};

use super::{
    pause::{BUCKET, rest},
    report::Tally,
};
use crate::{
    clients::{Clients, Place, Seen, Way},
    limits::CALL_WITHIN,
    stores::{self, Filling, Outcome, Then},
};

/// Number of its objects, most of them in a call, and their shortest and longest length: some are
/// small, some large.
const KEYS: u64 = 64;
const BATCH_MAX: u64 = 32;
const LEN_MIN: u64 = 1 << 10;
const LEN_MAX: u64 = 256 << 10;

/// Time to live of its leases.
const TTL: Duration = Duration::from_secs(60);

pub(super) struct LaneClient {
    clients: Clients,
    runtime: Runtime,
    draws: Draws,
    number: usize,
    tally: Tally,
    buffer: Vec<u8>,
}

impl LaneClient {
    pub(super) fn open(place: &Place, seed: u64, number: usize) -> anyhow::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let clients = runtime.block_on(Clients::open(place, BUCKET, Way::Lane))?;
        let draws = Draws::of(seed, number as u64);
        let (tally, buffer) = Default::default();
        Ok(Self { clients, runtime, draws, number, tally, buffer })
    }

    /// Works while `goes_on`, and removes its objects.
    pub(super) fn work(
        mut self,
        pause: Duration,
        goes_on: impl Fn() -> bool,
    ) -> anyhow::Result<Tally> {
        while goes_on() {
            let first = self.draws.below(KEYS);
            let end = first + 1 + self.draws.below(BATCH_MAX);
            let keys = self.keys(first..end.min(KEYS))?;
            match self.draws.below(8) {
                0 => {
                    self.remove(&keys)?;
                    self.store(keys)?;
                }
                1 => self.look_up(&keys)?,
                _ => self.read(&keys)?,
            }
            rest(pause);
        }
        let all = self.keys(0..KEYS)?;
        self.remove(&all)?;
        Ok(self.tally)
    }

    fn store(&mut self, keys: Vec<Key>) -> anyhow::Result<()> {
        let version = self.tally.calls.len() as u64;
        let filling = |key: Key| {
            let len = self.draws.log_between(LEN_MIN, LEN_MAX) as usize;
            let bytes = Payload::new(key.as_str(), version, len).bytes();
            Filling { key, bytes, pause: Duration::ZERO, then: Then::Commit }
        };
        let objects: Vec<_> = keys.into_iter().map(filling).collect();
        let started = Instant::now();
        let answers = self.runtime.block_on(stores::over_lane(self.clients.lane()?, &objects))?;
        self.tally.calls.push(started.elapsed());
        for (outcome, object) in answers.outcomes.iter().zip(&objects) {
            match outcome {
                Outcome::Stored => self.tally.bytes += object.bytes.len() as u64,
                // All of the arena is leased or pending, or the thread waited for too long.
                Outcome::NoSpace | Outcome::Late => {}
                other => bail!("refused, outcome=`{other:?}`"),
            }
        }
        Ok(())
    }

    fn read(&mut self, keys: &[Key]) -> anyhow::Result<()> {
        let leases = self.clients.lease(Way::Lane, keys, Duration::ZERO, TTL);
        let started = Instant::now();
        let leases = self.runtime.block_on(leases)?;
        self.tally.calls.push(started.elapsed());
        for (lease, key) in leases.into_iter().zip(keys) {
            let Some(lease) = lease else { continue };
            match lease.read(&mut self.buffer)? {
                Seen::Version(_) => self.tally.bytes += self.buffer.len() as u64,
                // A thread may wait for a core for longer than the lease lives.
                Seen::Late => {}
                wrong => bail!("{wrong}, key=`{key}`"),
            }
        }
        Ok(())
    }

    fn look_up(&mut self, keys: &[Key]) -> anyhow::Result<()> {
        let started = Instant::now();
        self.runtime.block_on(self.clients.lane()?.exists(keys, true, CALL_WITHIN))?;
        self.tally.calls.push(started.elapsed());
        Ok(())
    }

    fn remove(&mut self, keys: &[Key]) -> anyhow::Result<()> {
        let started = Instant::now();
        self.runtime.block_on(self.clients.lane()?.remove(keys, CALL_WITHIN))?;
        self.tally.calls.push(started.elapsed());
        Ok(())
    }

    fn keys(&self, numbers: std::ops::Range<u64>) -> anyhow::Result<Vec<Key>> {
        let key = |number| Ok(Key::new(format!("lane {} {number}", self.number))?);
        numbers.map(key).collect()
    }
}
