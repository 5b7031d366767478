//! Engines of four ranks over a cache that is too small: what is whole of what is there.
//!
//! The requests are those of a recorded workload. Each of four ranks does what LMCache's own client does: it
//! looks its objects of a prompt up, under a lease for each; the shortest prefix of all ranks is read; and
//! what comes behind it is stored. Or a rank has its objects
//! of half of the prompts in memory of its own, and asks for none of them. The same is done with keys that tell no group. `--nocapture` prints both.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::{collections::BTreeMap, time::Duration};

use kvlease_cache::{Catalog, CatalogConfig, EvictionKind, Room, UNIT};
use kvlease_testing::{Draws, trace};
use kvlease_types::{BucketName, ByteSize, Caller, Checksum, Epoch, Key, Timestamp, WriteRefused};

const RANKS: u64 = 4;
/// Requests that are served, unless a variable has another number.
const REQUESTS: usize = 600;
const REQUESTS_VARIABLE: &str = "KVLEASE_TRACE_REQUESTS";
/// Blocks that a rank may be ahead of another one. Ranks compute in step, 8,192 tokens at a time or less.
const AHEAD_MAX: usize = 16;
const CALLER: Caller = Caller::DAEMON;
const TTL: Duration = Duration::from_secs(30);

/// Keys of the ranks of one engine.
#[derive(Clone, Copy)]
enum Keys {
    /// As LMCache makes them.
    Grouped,
    /// Of a form that is not known.
    Alone,
}

impl Keys {
    fn key(self, block: u64, rank: u64) -> Key {
        let text = match self {
            Self::Grouped => format!("org/model@{RANKS}@{rank}@{block:x}@bfloat16"),
            Self::Alone => format!("org/model/{RANKS}/{rank}/{block:x}/bfloat16"),
        };
        Key::new(text).unwrap()
    }
}

/// The daemon's part and the engine's.
struct Node {
    catalog: Catalog,
    keys: Keys,
    /// Whether ranks have half of all prompts in memory of their own.
    own_memory: bool,
    bucket: BucketName,
    draws: Draws,
    /// Blocks of all prompts, and those of them that all ranks had.
    asked: u64,
    found: u64,
    /// Sums over all looks: chunks of which all objects were there, and those of which any was.
    whole: u64,
    there: u64,
}

impl Node {
    fn new(eviction: EvictionKind, objects: u64, keys: Keys, own_memory: bool) -> Self {
        let capacity = ByteSize::new(objects * UNIT.bytes());
        let config = CatalogConfig { capacity, eviction, ..CatalogConfig::default() };
        let mut catalog = Catalog::new(config, Epoch::new(1));
        catalog.grow(capacity);
        let bucket = BucketName::new("lmcache").unwrap();
        let draws = Draws::new(7);
        let (asked, found, whole, there) = (0, 0, 0, 0);
        Self { catalog, keys, own_memory, bucket, draws, asked, found, whole, there }
    }

    fn has(&self, block: u64, rank: u64) -> bool {
        let key = self.keys.key(block, rank);
        self.catalog.stat(self.bucket.as_str(), key.as_str()).is_some()
    }

    /// Serves one request.
    fn ask(&mut self, blocks: &[u64]) {
        let has_own = [(); RANKS as usize].map(|()| self.own_memory && self.draws.one_in(2));
        let asking = (0..RANKS).filter(|rank| !has_own[*rank as usize]);
        let leading = |rank| blocks.iter().take_while(|block| self.has(**block, rank)).count();
        let found = (0..RANKS).map(leading).min().unwrap();
        for rank in asking {
            self.look_up(blocks, rank);
            blocks[..found].iter().for_each(|block| assert!(self.read(*block, rank)));
        }
        self.asked += blocks.len() as u64;
        self.found += found as u64;
        self.store_all(&blocks[found..]);
    }

    /// Leading blocks that a rank has.
    fn look_up(&mut self, blocks: &[u64], rank: u64) -> usize {
        blocks.iter().take_while(|block| self.read(**block, rank)).count()
    }

    /// Every rank stores its objects of the blocks, in their order.
    fn store_all(&mut self, blocks: &[u64]) {
        let mut done = [0; RANKS as usize];
        while let Some(slowest) = done.into_iter().min().filter(|slowest| *slowest < blocks.len()) {
            let rank = self.draws.below(RANKS);
            let next = &mut done[rank as usize];
            if *next < blocks.len().min(slowest + AHEAD_MAX) {
                *next += 1;
                self.store(blocks[*next - 1], rank);
            }
        }
    }

    /// Reads an object, if it is there.
    fn read(&mut self, block: u64, rank: u64) -> bool {
        let key = self.keys.key(block, rank);
        let (bucket, now) = (self.bucket.as_str(), Timestamp::default());
        let lease = self.catalog.acquire(&CALLER, bucket, key.as_str(), TTL, now);
        lease.is_ok_and(|lease| self.catalog.release(&CALLER, lease.id, now).is_some())
    }

    fn store(&mut self, block: u64, rank: u64) {
        let (key, now) = (self.keys.key(block, rank), Timestamp::default());
        let id = loop {
            match self.catalog.reserve(&self.bucket, &key, UNIT, now) {
                Ok(Room::Given(reservation)) => break reservation.id,
                Ok(Room::AfterDrain) => self.catalog.discard_changes(),
                // Another request stored it, and some ranks have lost theirs since.
                Err(WriteRefused::Exists) => return,
                Err(error) => panic!("{error}"),
            }
        };
        self.catalog.seal(id, UNIT, Checksum::new(0), now).unwrap();
    }

    /// Looks which chunks are whole.
    fn look(&mut self, blocks: u64) {
        for block in 0..blocks {
            let ranks = (0..RANKS).filter(|rank| self.has(block, *rank)).count() as u64;
            self.whole += u64::from(ranks == RANKS);
            self.there += u64::from(ranks > 0);
        }
    }

    fn share_whole(&self) -> f64 {
        self.whole as f64 / self.there as f64
    }

    fn hits(&self) -> f64 {
        self.found as f64 / self.asked as f64
    }
}

/// Requests by the numbers of their blocks, and how many blocks there are.
#[expect(clippy::disallowed_methods, reason = "a test may be asked for a longer run")]
fn recorded() -> (Vec<Vec<u64>>, u64) {
    let mut numbers: BTreeMap<u64, u64> = BTreeMap::new();
    let number = std::env::var(REQUESTS_VARIABLE).map(|number| number.parse().unwrap());
    let mut requests: Vec<Vec<u64>> = trace::requests(trace::MOONCAKE_CONVERSATION)
        .map(|(_, blocks)| blocks)
        .take(number.unwrap_or(REQUESTS))
        .collect();
    for block in requests.iter_mut().flatten() {
        let next = numbers.len() as u64;
        *block = *numbers.entry(*block).or_insert(next);
    }
    (requests, numbers.len() as u64)
}

/// Runs the trace with every policy, without groups and with them.
fn compare(own_memory: bool, check: impl Fn(&str, [&Node; 2])) {
    let (requests, blocks) = recorded();
    println!("{} requests, {blocks} blocks, {RANKS} ranks", requests.len());
    println!("half of all prompts in memory of each rank's own: {own_memory}");
    println!("policy       room  whole chunks, %    hits of all ranks, %");
    for (eviction, part) in
        EvictionKind::ALL.into_iter().flat_map(|eviction| [16, 8, 4].map(|part| (eviction, part)))
    {
        let [alone, grouped] = [Keys::Alone, Keys::Grouped].map(|keys| {
            let mut node = Node::new(eviction, blocks / part * RANKS, keys, own_memory);
            for (number, request) in requests.iter().enumerate() {
                node.ask(request);
                if number % 25 == 24 {
                    node.look(blocks);
                }
            }
            node.catalog.check();
            node
        });
        let case = format!("{:<12} 1/{part:<3}", eviction.name());
        let show = |node: &Node| (100.0 * node.share_whole(), 100.0 * node.hits());
        let ((whole, hits), by_groups) = (show(&alone), show(&grouped));
        println!("{case} {whole:>7.1} {:>7.1}    {hits:>7.2} {:>7.2}", by_groups.0, by_groups.1);
        check(&case, [&alone, &grouped]);
    }
}

#[test]
fn what_is_there_of_a_chunk_is_whole() {
    compare(false, |case, [alone, grouped]| {
        // With ranks in step, most chunks are whole without groups as well.
        assert!(grouped.share_whole() >= 0.98, "{case}");
        assert!(grouped.hits() > alone.hits() * 0.9, "{case}");
    });
}

#[test]
fn what_some_ranks_use_the_others_keep() {
    compare(true, |case, [alone, grouped]| {
        assert!(grouped.share_whole() >= 0.99, "{case}");
        assert!(grouped.share_whole() > alone.share_whole(), "{case}");
    });
}
