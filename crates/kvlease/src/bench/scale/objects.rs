//! Cost of calls, memory and start-up over the number of objects. Each number has a daemon of its own,
//! whose arena the objects almost fill.

use std::{
    io,
    time::{Duration, Instant},
};

use kvlease_client::{ByteSize, Client, ClientConfig, Key, ListedTiers};

use super::{
    super::{
        figures::median,
        lane::{self, LaneClient},
        session::Session,
        wire::failed,
    },
    process,
    sweep::Sweep,
};
use crate::{curves::Figure, failure::Failure};

/// Length of an object, which takes one unit of the arena.
const OBJECT_LEN: usize = 1 << 10;
const UNIT_LEN: u64 = 4 << 10;

/// Keys of one batch.
const BATCH: usize = 128;

/// Objects that are looked up and read in a round, and objects that are stored at the end of the
/// filling and evict others: enough for a few milliseconds.
const SAMPLE: usize = 1 << 15;

/// Single calls that ask the daemon, in a round.
const ASKED: usize = 1 << 10;

/// The part of the arena that stays free for puts that evict nothing.
const FREE_PART: u64 = 16;

/// The smallest arena, which takes a few batches.
const CAPACITY_MIB_MIN: u64 = 4;

/// Memory that an object takes at most, all parts together: its unit with the part that stays free, the
/// catalog's limit, the manifest twice during a start, the published index and this process's keys.
const OBJECT_MEMORY: u64 = 7 << 10;

/// Limit of the catalog's memory: what keys of this length take, with room for leases and growth.
const CATALOG_MEMORY_MIN: u64 = 32 << 20;
const CATALOG_MEMORY_OF_OBJECT: u64 = 1 << 10;

/// Length of the keys, that of LMCache for a usual model.
const KEY_LEN: usize = 93;

/// Objects on one page of a listing, and the most of a listing that is timed.
const LISTED_MAX: usize = 200_000;

/// The figures of this section.
struct Figures {
    calls: Figure,
    memory: Figure,
    start: Figure,
}

/// Measures all numbers of objects that the memory takes.
pub(super) fn measure(sweep: &mut Sweep<'_>) -> Result<Vec<Figure>, Failure> {
    let mut figures = Figures {
        calls: Figure::new("scale-objects", "Calls by objects", "objects", "us a key"),
        memory: Figure::new("scale-memory", "Memory by objects", "objects", "bytes an object"),
        start: Figure::new("scale-start", "Start by objects", "objects", "ms"),
    };
    for count in sweep.args.objects.clone() {
        sweep.step(&format!("{count} objects"))?;
        let needed = ByteSize::new(count.saturating_mul(OBJECT_MEMORY));
        if sweep.has_memory(needed, &format!("{count} objects"))? {
            measure_count(sweep, count as usize, &mut figures)?;
        }
    }
    Ok(vec![figures.calls, figures.memory, figures.start])
}

fn measure_count(
    sweep: &mut Sweep<'_>,
    count: usize,
    figures: &mut Figures,
) -> Result<(), Failure> {
    let bytes = count as u64 * UNIT_LEN;
    let capacity =
        ByteSize::mib((bytes + bytes / FREE_PART).div_ceil(1 << 20).max(CAPACITY_MIB_MIN));
    let catalog = CATALOG_MEMORY_MIN + count as u64 * CATALOG_MEMORY_OF_OBJECT;
    let mut session = sweep.session(capacity, Some(ByteSize::new(catalog)), &[])?;
    let client = match lane::open(&session)? {
        Ok(client) => client,
        Err(why) => {
            sweep.leave_out(&format!("{count} objects: {why}"));
            return Ok(());
        }
    };
    let work = Work { sweep, session: &session, client: &client, count };
    let before = work.memory()?;
    let put = work.fill().map_err(failed)?;
    work.memory_of_objects(before, &mut figures.memory)?;
    work.calls(put, &mut figures.calls)?;
    drop(client);
    let stored = session.stats_now()?.objects;
    if let Some(start) = session.replace_daemon()? {
        let restored = session.stats_now()?.objects;
        if restored != stored {
            let text = format!("the daemon restored `{restored}` of `{stored}` objects");
            return Err(failed(io::Error::other(text)));
        }
        figures.start.add("start with the objects", count as f64, start.as_secs_f64() * 1e3);
    }
    Ok(())
}

/// One number of objects.
struct Work<'a> {
    sweep: &'a Sweep<'a>,
    session: &'a Session,
    client: &'a LaneClient,
    count: usize,
}

impl Work<'_> {
    /// Stores all objects. Returns the time of the last ones, in microseconds a key.
    fn fill(&self) -> io::Result<f64> {
        let last = self.count.saturating_sub(SAMPLE);
        self.put(0..last)?;
        self.put(last..self.count)
    }

    /// Stores objects in batches.
    fn put(&self, numbers: std::ops::Range<usize>) -> io::Result<f64> {
        let (mut taken, count) = (Duration::ZERO, numbers.len());
        let numbers: Vec<usize> = numbers.collect();
        for batch in numbers.chunks(BATCH) {
            let keys: Vec<Key> = batch.iter().map(|number| self.key(*number)).collect();
            let started = Instant::now();
            self.client.put(&keys, OBJECT_LEN, |_| &[7; OBJECT_LEN])?;
            taken += started.elapsed();
        }
        Ok(us_per_key(taken, count))
    }

    fn calls(&self, put: f64, figure: &mut Figure) -> Result<(), Failure> {
        let keys: Vec<Key> = self.sample().map(|number| self.key(number)).collect();
        let x = self.count as f64;
        let mut room = [0; OBJECT_LEN];
        for operation in Operation::ALL {
            let mut rounds = Vec::new();
            for number in 0..=self.sweep.args.rounds {
                self.session.check_interrupted()?;
                let taken = self.round(operation, &keys, &mut room).map_err(failed)?;
                // The first round warms up caches and page tables.
                rounds.extend((number > 0).then_some(taken));
            }
            figure.add(operation.name(), x, median(&rounds).unwrap_or_default());
        }
        figure.add("put, 128 a batch", x, put);
        figure.add("put that evicts, 128", x, self.evict()?);
        Ok(())
    }

    /// Time of one round, in microseconds a key.
    fn round(&self, operation: Operation, keys: &[Key], room: &mut [u8]) -> io::Result<f64> {
        let asked = &keys[..keys.len().min(ASKED)];
        let (client, started) = (self.client, Instant::now());
        let count = match operation {
            Operation::Exists => {
                keys.chunks(1).try_for_each(|key| client.count(key))?;
                keys.len()
            }
            Operation::Read => {
                keys.iter().try_for_each(|key| client.read(key, room))?;
                keys.len()
            }
            Operation::Acquire => {
                keys.chunks(BATCH).try_for_each(|keys| client.acquire(keys).map(drop))?;
                keys.len()
            }
            Operation::Get => {
                asked.chunks(1).try_for_each(|key| {
                    client.acquire(key)?.iter().try_for_each(|lease| client.copy(lease, room))
                })?;
                asked.len()
            }
            Operation::List => self.list()?,
        };
        Ok(us_per_key(started.elapsed(), count))
    }

    /// Lists objects, page by page, and returns how many.
    fn list(&self) -> io::Result<usize> {
        let mut config = ClientConfig::new(self.session.address.clone());
        config.bucket = self.session.bucket.clone();
        let client = Client::new(config);
        let wanted = self.count.min(LISTED_MAX);
        let listing = client.list_all("", ListedTiers::Local, wanted);
        let listed = self.client.run(listing).map_err(io::Error::other)?.objects.len();
        match listed >= wanted {
            true => Ok(listed),
            false => Err(io::Error::other(format!("listed `{listed}` of `{wanted}` objects"))),
        }
    }

    /// Fills what is free, and then stores objects that evict others.
    fn evict(&self) -> Result<f64, Failure> {
        let mut next = self.count;
        let mut put = |count: usize| {
            next += count;
            self.put(next - count..next).map_err(failed)
        };
        while self.session.stats_now()?.evictions == 0 {
            self.session.check_interrupted()?;
            put((self.count / FREE_PART as usize / 4).max(BATCH))?;
        }
        put(SAMPLE.min(self.count))
    }

    /// Memory of the daemon's process: its own, and what it shares.
    fn memory(&self) -> Result<process::Memory, Failure> {
        let pid = self.session.daemon_pid().unwrap_or_default();
        process::memory(pid).map_err(failed)
    }

    fn memory_of_objects(
        &self,
        before: process::Memory,
        figure: &mut Figure,
    ) -> Result<(), Failure> {
        let (after, stats, x) = (self.memory()?, self.session.stats_now()?, self.count as f64);
        let grown = |after: ByteSize, before: ByteSize| {
            after.bytes().saturating_sub(before.bytes()) as f64 / x
        };
        figure.add("arena", x, stats.allocated as f64 / stats.objects.max(1) as f64);
        figure.add("catalog, by its account", x, stats.catalog_memory as f64 / x);
        figure.add("daemon's own memory", x, grown(after.own, before.own));
        figure.add("manifest and index", x, grown(after.shared, before.shared));
        Ok(())
    }

    fn key(&self, number: usize) -> Key {
        let name = format!("{}-{number}", self.client.key_prefix());
        let key = Key::new(format!("{name:-<KEY_LEN$}"));
        key.expect("keys of bench are short and plain")
    }

    /// Numbers of objects all over, the same in each run.
    fn sample(&self) -> impl Iterator<Item = usize> {
        let (count, mut state) = (self.count as u64, 0x9e37_79b9_7f4a_7c15_u64);
        (0..SAMPLE.min(self.count)).map(move |_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % count) as usize
        })
    }
}

#[derive(Clone, Copy, Debug)]
enum Operation {
    Exists,
    Read,
    Acquire,
    Get,
    List,
}

impl Operation {
    const ALL: [Self; 5] = [Self::Exists, Self::Read, Self::Acquire, Self::Get, Self::List];

    fn name(self) -> &'static str {
        match self {
            Self::Exists => "exists, index",
            Self::Read => "get 1 KiB, index",
            Self::Acquire => "acquire+release, 128",
            Self::Get => "get 1 KiB, asked",
            Self::List => "list",
        }
    }
}

fn us_per_key(taken: Duration, keys: usize) -> f64 {
    taken.as_secs_f64() * 1e6 / keys.max(1) as f64
}
