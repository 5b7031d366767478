//! Latency of hits in the arena while objects are demoted to a disk at its full rate: `cargo bench -p
//! kvlease-engine --bench demotion`.
//!
//! Two engines take turns, one with a tier on disk and one without, and two more whose arenas were made in the other
//! order. In each turn a writer stores objects at the rate that the disk takes, so that as many are evicted, and a
//! reader leases, copies and releases objects that stay in the arena, into a buffer that it keeps. A turn without a
//! writer shows what the writer itself costs. Another one has no tier, and a thread that writes to the disk at the same
//! rate, out of memory of its own and with a sync for 16 MiB: what hits pay for a busy disk, whatever keeps it busy. A
//! ratio is the median of the rounds' ratios, with the lowest and the highest of them; the mean of both pairs follows.
//!
//! The tier's file lies in the build's folder for temporary files, or in the directory that
//! `KVLEASE_BENCH_DIR` names.

#![expect(clippy::unwrap_used, reason = "a benchmark ends at the first error")]

use std::{
    fs::{File, OpenOptions},
    os::{fd::AsFd, unix::fs::OpenOptionsExt},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use kvlease_arena::{Arena, SegmentOptions};
use kvlease_cache::CatalogConfig;
use kvlease_engine::{Engine, EngineConfig, TierConfig};
use kvlease_nvme::{DEPTH, NvmeConfig, NvmeTier};
use kvlease_sys::{Access, FingerprintKey, IoBuffer, Mapping, Ring};
use kvlease_testing::{bytes, median, processors};
use kvlease_types::{BucketName, ByteSize, Caller, Epoch, Key, Mode};
use rustix::fs::OFlags;
use tempfile::TempDir;

const CALLER: Caller = Caller::DAEMON;
const CAPACITY: ByteSize = ByteSize::mib(512);
/// Part of the arena that the daemon keeps free above a tier.
const FREE_PART: u64 = 16;
const TIER_CAPACITY: ByteSize = ByteSize::gib(4);
const TTL: Duration = Duration::from_secs(30);
const GRACE: Duration = Duration::from_secs(10);
/// Objects that are read, and their length.
const HOT: usize = 16;
const HOT_LEN: usize = 1 << 20;
/// Length of the objects that are stored.
const COLD_LEN: usize = 4 << 20;
const TURN: Duration = Duration::from_secs(2);
const ROUNDS: usize = 7;
/// Pause between two reads, so that the reader is not the load itself.
const PAUSE: Duration = Duration::from_micros(200);

fn main() {
    let default = Path::new(env!("CARGO_TARGET_TMPDIR")).to_owned();
    let disk = std::env::var_os("KVLEASE_BENCH_DIR").map_or(default, Into::into);
    let disk = tempfile::tempdir_in(disk).unwrap();
    let pairs = [true, false].map(|with_is_first| Pair::new(disk.path(), with_is_first));
    let way = pairs[0].way.clone();
    println!("{}; {way}; {ROUNDS} rounds for each pair", processors());
    println!("hits of 1 MiB, copied; times in microseconds\n");
    let busy = BusyDisk::new(disk.path());
    let ratios = pairs.map(|pair| pair.measure(&busy));
    println!("of both pairs, the geometric mean:");
    let both = |of: fn(&Ratios) -> f64| ratios.each_ref().map(of).iter().product::<f64>().sqrt();
    println!("p99 of demotions to that without: {:.2}", both(|ratios| ratios.demotions));
    println!("p99 of a busy disk to that without: {:.2}", both(|ratios| ratios.busy_disk));
}

/// An engine with a tier on disk and one without. What memory an arena happens to have makes reads of one faster than
/// those of another, by more than demotions do: so there is a pair for each order in which they get theirs.
struct Pair {
    with: Side,
    without: Side,
    way: String,
    name: &'static str,
}

/// Medians of the ratios of a pair.
struct Ratios {
    demotions: f64,
    busy_disk: f64,
}

impl Pair {
    fn new(disk: &Path, with_is_first: bool) -> Self {
        let folder = disk.join(if with_is_first { "first" } else { "second" });
        std::fs::create_dir(&folder).unwrap();
        let config = NvmeConfig { capacity: Some(TIER_CAPACITY), ..NvmeConfig::new(&folder) };
        let (tier, _) = NvmeTier::open(config).unwrap();
        let way = tier.way().to_string();
        let with = || Side::new(vec![TierConfig::new(Arc::new(tier))]);
        let without = || Side::new(Vec::new());
        if with_is_first {
            let (with, without) = (with(), without());
            Self { with, without, way, name: "the arena above the tier is the older one" }
        } else {
            let (without, with) = (without(), with());
            Self { with, without, way, name: "the arena above the tier is the younger one" }
        }
    }

    fn measure(self, busy: &BusyDisk) -> Ratios {
        let Self { with, without, name, .. } = self;
        // Once around the log: blocks that were never written cost more.
        let laps = TIER_CAPACITY.bytes() * 3 / 2 / COLD_LEN as u64;
        let rate = with.full_rate(laps as usize);
        let mut rounds: [Vec<Turn>; 4] = Default::default();
        for round in 0..ROUNDS {
            let sides = [
                (&without, false, None),
                (&without, true, None),
                (&without, true, Some(busy)),
                (&with, true, None),
            ];
            for step in 0..sides.len() {
                // Each side comes first in some rounds.
                let number = (round + step) % sides.len();
                let (side, has_writer, busy) = sides[number];
                let writer = has_writer.then_some((rate, round * sides.len() + number));
                rounds[number].push(side.turn(writer, busy));
            }
        }
        let [idle, writing, beside, demoting] = rounds;
        println!("{name}; the disk takes {:.2} GB/s of demotions", rate / 1e9);
        println!("{:<28} {:>8} {:>8} {:>12}", "", "p50", "p99", "GB/s to disk");
        row("no writer", &idle);
        row("a writer, no tier", &writing);
        row("a writer, a busy disk", &beside);
        row("a writer, demotions", &demoting);
        ratio("p99 of the writer to that without", &writing, &idle);
        let demotions = ratio("p99 of demotions to that without", &demoting, &writing);
        let busy_disk = ratio("p99 of a busy disk to that without", &beside, &writing);
        println!();
        Ratios { demotions, busy_disk }
    }
}

fn row(name: &str, turns: &[Turn]) {
    let of = |part: fn(&Turn) -> f64| median(turns.iter().map(part));
    let (p50, p99, rate) = (of(|turn| turn.p50), of(|turn| turn.p99), of(|turn| turn.demoted));
    println!("{name:<28} {p50:>8.0} {p99:>8.0} {:>12.2}", rate / 1e9);
}

fn ratio(name: &str, of: &[Turn], to: &[Turn]) -> f64 {
    let ratios = of.iter().zip(to).map(|(of, to)| of.p99 / to.p99);
    let (least, most) = ratios
        .clone()
        .fold((f64::MAX, 0_f64), |(least, most), ratio| (least.min(ratio), most.max(ratio)));
    let median = median(ratios);
    println!("{name}: {median:.2} ({least:.2} to {most:.2})");
    median
}

/// Latencies of a turn in microseconds, and the rate of its demotions in bytes per second.
struct Turn {
    p50: f64,
    p99: f64,
    demoted: f64,
}

/// An engine with its segment as a client maps it.
struct Side {
    engine: Engine,
    mapping: Mapping,
    _dir: TempDir,
}

impl Side {
    fn new(tiers: Vec<TierConfig>) -> Self {
        let dir = TempDir::with_prefix_in("kvlease-bench-", "/dev/shm").unwrap();
        let options = SegmentOptions {
            dir: dir.path().to_owned(),
            ..SegmentOptions::new("segment".parse().unwrap(), CAPACITY, TTL + GRACE)
        };
        // Victims are chosen ahead of need on both sides.
        let free_target = ByteSize::new(CAPACITY.bytes() / FREE_PART);
        let catalog = CatalogConfig { capacity: CAPACITY, free_target, ..CatalogConfig::default() };
        let key = FingerprintKey::new([7; FingerprintKey::LEN]);
        let config = EngineConfig { cold: true, tiers, ..EngineConfig::new(catalog, TTL, key) };
        let engine = Engine::start(Arena::open(&options).unwrap(), config, Epoch::new(1)).unwrap();
        while engine.stats().catalog.populated < CAPACITY {
            thread::sleep(Duration::from_millis(1));
        }
        let segment = File::open(dir.path().join("segment")).unwrap();
        let len = CAPACITY.bytes() as usize;
        let mapping = Mapping::new(segment.as_fd(), len, Access::Read).unwrap();
        let side = Self { engine, mapping, _dir: dir };
        (0..HOT).for_each(|number| side.store_hot(number));
        side
    }

    /// Stores an object that is read, if it is not there or on its way.
    fn store_hot(&self, number: usize) {
        let (bucket, key) =
            (BucketName::new("b").unwrap(), Key::new(format!("hot-{number}")).unwrap());
        let len = ByteSize::new(HOT_LEN as u64);
        if let Ok(mut put) = self.engine.put(&CALLER, bucket, key, Some(len)) {
            put.write(&bytes(HOT_LEN, number as u64)).unwrap();
            put.seal().unwrap();
        }
    }

    fn store(&self, key: &str, bytes: &[u8]) {
        let (bucket, key) = (BucketName::new("b").unwrap(), Key::new(key).unwrap());
        let len = ByteSize::new(bytes.len() as u64);
        let mut put = self.engine.put(&CALLER, bucket, key, Some(len)).unwrap();
        put.write(bytes).unwrap();
        put.seal().unwrap();
    }

    /// Bytes per second that the disk takes while more is stored than that.
    fn full_rate(&self, objects: usize) -> f64 {
        let content = bytes(COLD_LEN, 1);
        let (mut into, started, before) = (vec![0; HOT_LEN], Instant::now(), self.demoted());
        for number in 0..objects {
            self.store(&format!("lap-{number}"), &content);
            // As fast as the disk, and not faster: victims are to be copied.
            while self.engine.stats().catalog.free.bytes() < CAPACITY.bytes() / FREE_PART / 2 {
                thread::sleep(PAUSE);
            }
            self.read(number % HOT, &mut into);
        }
        (self.demoted() - before) / started.elapsed().as_secs_f64()
    }

    fn demoted(&self) -> f64 {
        self.engine.tiers().iter().map(|tier| tier.counters.stored as f64).sum()
    }

    /// Leases, copies and releases an object, as a client does. False if it was evicted, which happens
    /// where the reader gets no processor for long.
    fn read(&self, number: usize, into: &mut [u8]) -> bool {
        let key = format!("hot-{number}");
        let grants = self.engine.acquire(&CALLER, "b", &[&key], Mode::Each, None);
        let Ok(lease) = &grants.outcomes()[0] else {
            self.store_hot(number);
            return false;
        };
        let (id, extents) = (lease.id, lease.extents.clone());
        grants.deliver();
        let mut at = 0;
        for extent in extents.iter() {
            let end = at + extent.len.bytes() as usize;
            self.mapping.copy_out(*extent, &mut into[at..end], None);
            at = end;
        }
        std::hint::black_box(into);
        self.engine.release(&CALLER, &[id]);
        true
    }

    /// Reads for the time of a turn, while a writer stores at this rate.
    fn turn(&self, writer: Option<(f64, usize)>, busy: Option<&BusyDisk>) -> Turn {
        let stop = AtomicBool::new(false);
        let (started, before) = (Instant::now(), self.demoted());
        let written = AtomicU64::new(0);
        let (mut times, mut into): (Vec<f64>, _) = (Vec::new(), vec![0; HOT_LEN]);
        thread::scope(|scope| {
            let (stop, written) = (&stop, &written);
            if let Some((rate, round)) = writer {
                scope.spawn(move || self.write_at(rate, round, stop));
                if let Some(disk) = busy {
                    scope
                        .spawn(move || written.store(disk.write_at(rate, stop), Ordering::Relaxed));
                }
            }
            while started.elapsed() < TURN {
                let began = Instant::now();
                if self.read(times.len() % HOT, &mut into) {
                    times.push(began.elapsed().as_secs_f64() * 1e6);
                }
                thread::sleep(PAUSE);
            }
            stop.store(true, Ordering::Relaxed);
        });
        let written = self.demoted() - before + written.into_inner() as f64;
        let demoted = written / started.elapsed().as_secs_f64();
        times.sort_by(f64::total_cmp);
        let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
        Turn { p50: at(0.5), p99: at(0.99), demoted }
    }

    fn write_at(&self, rate: f64, round: usize, stop: &AtomicBool) {
        let content = bytes(COLD_LEN, round as u64 + 2);
        let started = Instant::now();
        let mut number = 0_u32;
        while !stop.load(Ordering::Relaxed) {
            let due = Duration::from_secs_f64(f64::from(number) * COLD_LEN as f64 / rate);
            thread::sleep(due.saturating_sub(started.elapsed()));
            self.store(&format!("cold-{round}-{number}"), &content);
            number += 1;
        }
    }
}

/// Disk that is written to by nothing but a ring: in pieces, at the depth of a worker of the tier.
struct BusyDisk(Arc<File>);

impl BusyDisk {
    const LEN: u64 = 1 << 30;
    const PIECE: usize = 1 << 20;
    const SYNC_PIECES: u64 = 16;

    /// A file whose blocks were all written.
    fn new(folder: &Path) -> Self {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        options.custom_flags(OFlags::DIRECT.bits().cast_signed());
        let disk = Self(Arc::new(options.open(folder.join("busy")).unwrap()));
        disk.write(f64::INFINITY, |written| written == Self::LEN);
        disk
    }

    /// Writes at this rate until it is stopped. Returns the bytes that were written.
    fn write_at(&self, rate: f64, stop: &AtomicBool) -> u64 {
        self.write(rate, |_| stop.load(Ordering::Relaxed))
    }

    fn write(&self, rate: f64, is_over: impl Fn(u64) -> bool) -> u64 {
        let mut free = IoBuffer::allocate(DEPTH, Self::PIECE).unwrap();
        let mut ring = Ring::new(&self.0, &free).unwrap();
        let (mut completed, mut written) = (Vec::new(), 0);
        let started = Instant::now();
        while !is_over(written) {
            let due = Duration::from_secs_f64(written as f64 / rate);
            thread::sleep(due.saturating_sub(started.elapsed()));
            if let Some(buffer) = free.pop() {
                ring.write((), written % Self::LEN, buffer, Self::PIECE);
                written += Self::PIECE as u64;
                if (written / Self::PIECE as u64).is_multiple_of(Self::SYNC_PIECES) {
                    self.0.sync_data().unwrap();
                }
            } else {
                ring.wait(&mut completed).unwrap();
                free.extend(completed.drain(..).map(|done| done.buffer));
            }
        }
        written
    }
}
