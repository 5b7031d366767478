//! A client with keys of its own, which knows what each of them may have.

use std::{
    io,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use kvlease_harness::{
    Endpoint, Payload, object,
    wire::{Reply, Wire},
};
use kvlease_testing::Draws;

use super::report::Found;

/// Keys of a client.
const KEYS: usize = 32;

/// Lengths of objects.
const LEN_MIN: u64 = 1000;
const LEN_MAX: u64 = 1 << 20;

/// Bucket of all objects.
const BUCKET: &str = "tiers";

/// A client. It calls one operation after the other, so of each key it knows the one version that may
/// be seen.
pub(super) struct Client {
    draws: Draws,
    keys: Vec<Known>,
    found: Found,
    /// Lives of the daemon over this tier.
    lives: u64,
    /// Bytes stored over this tier.
    stored: u64,
}

/// Knowledge about a key.
struct Known {
    key: String,
    /// The version that was stored, or may have been; `None` once a removal was answered.
    version: Option<u64>,
    /// Length of that version.
    len: usize,
    versions: u64,
    /// Life of the daemon in which that version was stored first.
    since: u64,
    /// Whether the last look found it, and it did not come back since.
    there: bool,
}

impl Client {
    pub(super) fn new(seed: u64, number: u64) -> Self {
        let known = |place| Known {
            key: format!("{number}-{place}"),
            version: None,
            len: 0,
            versions: 0,
            since: 0,
            there: false,
        };
        Self {
            draws: Draws::of(seed, number),
            keys: (0..KEYS).map(known).collect(),
            found: Found::default(),
            lives: 0,
            stored: 0,
        }
    }

    /// Begins on an empty cache. Versions go on, so that nothing old passes for new.
    pub(super) fn forget_all(&mut self) {
        self.keys.iter_mut().for_each(|known| known.version = None);
        self.lives = 0;
        self.stored = 0;
    }

    /// Bytes that it stored over this tier.
    pub(super) fn stored(&self) -> u64 {
        self.stored
    }

    /// Takes out the findings so far.
    pub(super) fn found(&mut self) -> Found {
        std::mem::take(&mut self.found)
    }

    /// Works until it is stopped or the daemon is gone.
    pub(super) fn work(&mut self, endpoint: &Endpoint, stop: &AtomicBool) {
        self.lives += 1;
        // The end of the daemon is the end of the work.
        let _ended: io::Result<()> = (|| {
            let mut wire = Wire::try_open(endpoint.address())?;
            while !stop.load(Relaxed) {
                let place = self.draws.index(KEYS);
                match self.draws.below(10) {
                    0..4 => self.store(&mut wire, place)?,
                    4..9 => drop(self.read(&mut wire, place)?),
                    _ => self.remove(&mut wire, place)?,
                }
            }
            Ok(())
        })();
    }

    fn store(&mut self, wire: &mut Wire, place: usize) -> io::Result<()> {
        let known = &mut self.keys[place];
        if known.version.is_none() {
            known.versions += 1;
            known.version = Some(known.versions);
            known.since = self.lives;
            known.len = self.draws.log_between(LEN_MIN, LEN_MAX) as usize;
        }
        let version = known.version.unwrap_or_default();
        let bytes = Payload::new(&known.key, version, known.len).bytes();
        self.stored += known.len as u64;
        let reply = wire.try_call("PUT", &object(BUCKET, &known.key), &bytes)?;
        self.found.stored += u64::from(reply.status == 200);
        if !matches!(reply.status, 200 | 409 | 507) {
            self.found.fault(format!("PUT of {}: {}", self.keys[place].key, reply.status));
        }
        Ok(())
    }

    /// Reads a key, and returns whether it was there.
    fn read(&mut self, wire: &mut Wire, place: usize) -> io::Result<bool> {
        let known = &self.keys[place];
        let reply = wire.try_call("GET", &object(BUCKET, &known.key), b"")?;
        match reply.status {
            200 => self.check(place, &reply),
            404 => self.found.missed += 1,
            504 => self.found.late += 1,
            status => self.found.fault(format!("GET of {}: {status}", self.keys[place].key)),
        }
        Ok(reply.status == 200)
    }

    fn check(&mut self, place: usize, reply: &Reply) {
        let Known { key, version, .. } = &self.keys[place];
        self.found.read += 1;
        match Payload::verify(key, &reply.body) {
            Err(wrong) => self.found.fault(format!("wrong bytes of {key}: {wrong}")),
            Ok(seen) if Some(seen) != *version => {
                let may = version.map_or("none".to_owned(), |version| version.to_string());
                self.found.fault(format!("version {seen} of {key} came back, it may have {may}"));
            }
            Ok(_) => {}
        }
    }

    fn remove(&mut self, wire: &mut Wire, place: usize) -> io::Result<()> {
        let known = &mut self.keys[place];
        let reply = wire.try_call("DELETE", &object(BUCKET, &known.key), b"")?;
        match reply.status {
            200 | 404 => {
                self.found.removed += u64::from(reply.status == 200);
                known.version = None;
            }
            // It is being loaded; or a tier may have it still.
            409 | 503 => {}
            status => self.found.fault(format!("DELETE of {}: {status}", self.keys[place].key)),
        }
        Ok(())
    }

    /// Reads all keys, and remembers which of them are there.
    pub(super) fn look(&mut self, endpoint: &Endpoint) -> anyhow::Result<()> {
        let mut wire = endpoint.connect()?;
        for place in 0..KEYS {
            let there = self.read(&mut wire, place)?;
            self.keys[place].there = there;
            self.found.looked += u64::from(there);
        }
        Ok(())
    }

    /// Reads the keys that were there and did not come back yet, and returns how many are left.
    pub(super) fn look_again(&mut self, endpoint: &Endpoint) -> anyhow::Result<u64> {
        let (mut wire, mut left) = (endpoint.connect()?, 0);
        for place in 0..KEYS {
            if self.keys[place].there {
                let is_back = self.read(&mut wire, place)?;
                self.keys[place].there = !is_back;
                left += u64::from(!is_back);
            }
        }
        Ok(left)
    }

    /// The keys that did not come back, each with its life.
    pub(super) fn describe_lost(&self) -> impl Iterator<Item = String> {
        self.keys.iter().filter(|known| known.there).map(|known| {
            let Known { key, len, since, .. } = known;
            format!("{key} of {len} bytes, stored in life {since} of {}", self.lives)
        })
    }
}
