//! Rates of stores and loads, next to the device's own with direct I/O in the same run.
//!
//! Each figure is the median of [`ROUNDS`] rounds. In a round, the device and the tier take turns:
//! the device with pieces of 1 MiB at the depth of the tier's workers, through a ring and without a
//! copy; the tier with objects from and to shared memory of 4 KiB pages, checksum included. Between them is
//! the bound: the device's turn with what a tier has to do with the bytes, and nothing else. For a load that
//! is the copy with the checksum, or the checksum alone if the device writes the shared memory; for a store
//! the copy, or the device's own read of the shared memory. A ratio is the median of the rounds' ratios, with
//! the lowest and the highest of them. All sync what they write. CPU is that of the whole process.
//!
//! With `KVLEASE_BENCH_ARENA`, a directory on a tmpfs that is mounted with `huge=always`, the objects are
//! in shared memory of 2 MiB pages instead. What moves without a copy is as in a daemon whose disk keeps up,
//! unless `KVLEASE_BENCH_IN_PLACE` says `all` or `none`. A daemon whose disk is behind stores from 4 KiB pages
//! as with `none`.
//!
//! `cargo bench -p kvlease-nvme`; the file lies in the build's folder for temporary files, or in the
//! directory that `KVLEASE_BENCH_DIR` names.

#![expect(clippy::unwrap_used, reason = "a benchmark ends at the first error")]

use std::{
    fs::{File, OpenOptions},
    os::{fd::AsFd, unix::fs::OpenOptionsExt},
    path::Path,
    sync::Arc,
    thread,
    time::Instant,
};

use futures_util::{StreamExt, stream};
use kvlease_nvme::{DEPTH, NvmeConfig, NvmeTier, WORKERS};
use kvlease_sys::{Access, Digest, IoBuffer, MappedExtent, Mapping, Ring};
use kvlease_testing::{median, processors};
use kvlease_tier::{Destination, Name, Object, Source, SourceChanged, Stat, Tier};
use kvlease_types::{BucketName, ByteSize, Extent, Key, Offset};
use rustix::{
    fs::{FallocateFlags, MemfdFlags, OFlags, fallocate, ftruncate, memfd_create},
    time::{ClockId, clock_gettime},
};

const ROUNDS: usize = 7;
const MIB: u64 = 1 << 20;
/// Bytes of a turn.
const TURN: u64 = 1 << 30;
const SIZES: [u64; 4] = [MIB, 4 * MIB, 16 * MIB, 64 * MIB];
/// Bytes of objects that are under way at a time.
const UNDER_WAY: u64 = 256 * MIB;
/// Bytes that a load copies at a time.
const PART: usize = 128 << 10;
/// Times the bytes of a turn that the tier holds.
const CAPACITY: u64 = 5;

fn main() {
    let default = Path::new(env!("CARGO_TARGET_TMPDIR")).to_owned();
    let folder = std::env::var_os("KVLEASE_BENCH_DIR").map_or(default, Into::into);
    let folder = tempfile::tempdir_in(folder).unwrap();
    let raw = raw_file(folder.path());
    let config = NvmeConfig {
        capacity: Some(ByteSize::new(CAPACITY * TURN)),
        ..NvmeConfig::new(folder.path())
    };
    let (tier, _) = NvmeTier::open(config).unwrap();
    let arena = arena();
    let Arena { pages, in_place: (stores, loads), .. } = arena;
    println!("{}; {}; an arena of {pages} pages; {ROUNDS} rounds", processors(), tier.way());
    println!("without a copy: stores {stores}, loads {loads}");
    println!("rates in GB/s [x device, lowest-highest] [x bound], CPU in ms/GB (device, bound)\n");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    // Blocks that were never written cost more, for the device as well.
    for turn in 0..CAPACITY {
        runtime.block_on(store(&tier, &arena, &objects(&arena, 16 * MIB, &format!("fill-{turn}"))));
    }
    println!("{:>8}  {:>48}  {:>48}", "", "store", "load");
    for size in sizes() {
        let mut turns: [Vec<Turn>; 6] = Default::default();
        for round in 0..ROUNDS {
            let objects = objects(&arena, size, &format!("{size}-{round}"));
            turns[0].push(timed(|| device(&raw, true, None)));
            turns[1].push(timed(|| device(&raw, true, Some(&arena))));
            turns[2].push(timed(|| runtime.block_on(store(&tier, &arena, &objects))));
            turns[3].push(timed(|| device(&raw, false, None)));
            turns[4].push(timed(|| device(&raw, false, Some(&arena))));
            turns[5].push(timed(|| runtime.block_on(load(&tier, &arena, &objects))));
            let keys: Vec<&str> =
                objects.iter().map(|(object, _)| object.name.key.as_str()).collect();
            runtime.block_on(tier.remove("bench", &keys)).unwrap();
        }
        let [device_write, write_bound, stored, device_read, read_bound, loaded] = turns;
        let size = ByteSize::new(size);
        let (stores, loads) =
            (row(&stored, &device_write, &write_bound), row(&loaded, &device_read, &read_bound));
        println!("{size:>8}  {stores}  {loads}");
    }
}

/// Rate and cost of a turn.
struct Turn {
    rate: f64,
    cpu: f64,
}

fn timed(turn: impl FnOnce()) -> Turn {
    let cpu = || {
        let now = clock_gettime(ClockId::ProcessCPUTime);
        now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
    };
    let (began, cpu_began) = (Instant::now(), cpu());
    turn();
    let (took, cpu_took) = (began.elapsed().as_secs_f64(), cpu() - cpu_began);
    let gigabytes = TURN as f64 / 1e9;
    Turn { rate: gigabytes / took, cpu: cpu_took * 1e3 / gigabytes }
}

fn row(tier: &[Turn], device: &[Turn], bound: &[Turn]) -> String {
    let rate = median(tier.iter().map(|turn| turn.rate));
    let ratios = |to: &[Turn]| -> Vec<f64> {
        tier.iter().zip(to).map(|(tier, other)| tier.rate / other.rate).collect()
    };
    let of_device = ratios(device);
    let (least, most) = of_device
        .iter()
        .fold((f64::MAX, 0_f64), |(least, most), ratio| (least.min(*ratio), most.max(*ratio)));
    let (of_device, of_bound) = (median(of_device), median(ratios(bound)));
    let cpu = |turns: &[Turn]| median(turns.iter().map(|turn| turn.cpu));
    format!(
        "{rate:5.2} [{of_device:4.2}, {least:4.2}-{most:4.2}] [{of_bound:4.2}] {:5.0} ({:4.0}, {:4.0})",
        cpu(tier),
        cpu(device),
        cpu(bound)
    )
}

/// Sizes of objects: all, or the one in MiB that `KVLEASE_BENCH_MIB` has.
fn sizes() -> Vec<u64> {
    let only = std::env::var("KVLEASE_BENCH_MIB").ok();
    only.map_or(SIZES.to_vec(), |size| vec![size.parse::<u64>().unwrap() * MIB])
}

/// Memory as the arena's is: shared.
struct Arena {
    mapping: Arc<Mapping>,
    pages: &'static str,
    /// Whether stores and loads move its bytes without a copy.
    in_place: (bool, bool),
}

impl Arena {
    fn memory(&self, at: u64, len: u64) -> Vec<MappedExtent> {
        vec![MappedExtent::new(&self.mapping, extent(at, len)).unwrap()]
    }

    /// Takes a piece as a load does: with a copy and its checksum, or with the checksum alone.
    fn take(&self, at: u64, piece: &[u8], digest: &mut Digest) {
        if self.in_place.1 {
            digest.update(piece);
            return;
        }
        for (number, part) in piece.chunks(PART).enumerate() {
            self.mapping.copy_in(Offset::new(at + (number * PART) as u64), part, Some(digest));
        }
    }
}

fn extent(at: u64, len: u64) -> Extent {
    Extent::new(Offset::new(at), ByteSize::new(len))
}

fn arena() -> Arena {
    let on_huge_pages = std::env::var_os("KVLEASE_BENCH_ARENA");
    let pages = if on_huge_pages.is_some() { "huge" } else { "4 KiB" };
    let file = match &on_huge_pages {
        Some(folder) => tempfile::tempfile_in(folder).unwrap().into(),
        None => memfd_create("kvlease-bench", MemfdFlags::CLOEXEC).unwrap(),
    };
    ftruncate(&file, TURN).unwrap();
    let arena = Mapping::new(file.as_fd(), TURN as usize, Access::ReadWrite).unwrap();
    let mut word = 1_u64;
    let mut fill = || {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        word.to_le_bytes()
    };
    for at in (0..TURN).step_by(MIB as usize) {
        let bytes: Vec<u8> = (0..MIB / 8).flat_map(|_| fill()).collect();
        arena.copy_in(Offset::new(at), &bytes, None);
    }
    let in_place = match std::env::var("KVLEASE_BENCH_IN_PLACE").as_deref() {
        Ok("none") => (false, false),
        Ok("all") => (true, true),
        // As a daemon does whose disk keeps up.
        _ => (true, on_huge_pages.is_some()),
    };
    Arena { mapping: Arc::new(arena), pages, in_place }
}

/// Objects of a turn, with their places in the arena.
fn objects(arena: &Arena, size: u64, prefix: &str) -> Vec<(Object, u64)> {
    let mut bytes = vec![0; size as usize];
    let bucket = BucketName::new("bench").unwrap();
    let object = |at: u64| {
        let len = ByteSize::new(size);
        arena.mapping.copy_out(Extent::new(Offset::new(at), len), &mut bytes, None);
        let key = Key::new(format!("{prefix}-{at}")).unwrap();
        let stat = Stat { len, checksum: Digest::of(&bytes) };
        (Object { name: Name { bucket: bucket.clone(), key }, stat }, at)
    };
    (0..TURN).step_by(size as usize).map(object).collect()
}

fn at_a_time(objects: &[(Object, u64)]) -> usize {
    (UNDER_WAY / objects[0].0.stat.len.bytes()).max(2) as usize
}

async fn store(tier: &NvmeTier, arena: &Arena, objects: &[(Object, u64)]) {
    let stores = objects.iter().map(|(object, at)| {
        let source = InArena::new(arena, *at);
        tier.store(object, Box::new(source))
    });
    let mut all = stream::iter(stores).buffer_unordered(at_a_time(objects));
    while let Some(stored) = all.next().await {
        stored.unwrap();
    }
}

async fn load(tier: &NvmeTier, arena: &Arena, objects: &[(Object, u64)]) {
    let loads = objects.iter().map(|(object, at)| {
        let place = InArena::new(arena, *at);
        tier.load(&object.name, object.stat, Box::new(place))
    });
    let mut all = stream::iter(loads).buffer_unordered(at_a_time(objects));
    while let Some(loaded) = all.next().await {
        loaded.unwrap();
    }
}

/// Bytes in the arena, as a source or a destination.
#[derive(Debug)]
struct InArena {
    arena: Arc<Mapping>,
    in_place: (bool, bool),
    at: u64,
}

impl InArena {
    fn new(arena: &Arena, at: u64) -> Self {
        Self { arena: Arc::clone(&arena.mapping), in_place: arena.in_place, at }
    }

    fn memory(&mut self, len: u64) -> Option<Vec<MappedExtent>> {
        let extent = Extent::new(Offset::new(self.at), ByteSize::new(len));
        self.at += len;
        Some(vec![MappedExtent::new(&self.arena, extent).unwrap()])
    }
}

impl Source for InArena {
    fn read(&mut self, into: &mut [u8], digest: Option<&mut Digest>) -> Result<(), SourceChanged> {
        let extent = Extent::new(Offset::new(self.at), ByteSize::new(into.len() as u64));
        self.arena.copy_out(extent, into, digest);
        self.at += into.len() as u64;
        Ok(())
    }

    fn memory(&mut self, len: u64) -> Option<Vec<MappedExtent>> {
        if self.in_place.0 { self.memory(len) } else { None }
    }

    fn notices_changes(&self) -> bool {
        true
    }
}

impl Destination for InArena {
    fn write(&mut self, bytes: &[u8], digest: &mut Digest) {
        self.arena.copy_in(Offset::new(self.at), bytes, Some(digest));
        self.at += bytes.len() as u64;
    }

    fn memory(&mut self, len: u64) -> Option<Vec<MappedExtent>> {
        if self.in_place.1 { self.memory(len) } else { None }
    }

    fn complete(self: Box<Self>) {}
}

/// File of the device's own turns, with all blocks written.
fn raw_file(folder: &Path) -> Arc<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(true);
    options.custom_flags(OFlags::DIRECT.bits().cast_signed());
    let file = options.open(folder.join("raw")).unwrap();
    fallocate(&file, FallocateFlags::empty(), 0, TURN).unwrap();
    let file = Arc::new(file);
    device(&file, true, None);
    file
}

/// Moves the bytes of a turn between the device and buffers, at the depth of the tier's workers; from or to
/// an arena if there is one, in the way of its tier.
fn device(file: &Arc<File>, is_write: bool, arena: Option<&Arena>) {
    let part = TURN / WORKERS as u64;
    let run = |worker: usize| {
        let mut free = IoBuffer::allocate(DEPTH, MIB as usize).unwrap();
        let mut ring = Ring::new(file, &free).unwrap();
        let (mut completed, mut digest) = (Vec::new(), Digest::new());
        let mut next = part * worker as u64;
        let end = next + part;
        while next < end || free.len() < DEPTH {
            while next < end
                && let Some(mut buffer) = free.pop()
            {
                match arena {
                    _ if !is_write => ring.read(next, next, buffer, MIB as usize),
                    Some(arena) if arena.in_place.0 => {
                        ring.write_gathered(next, next, buffer, (0, 0), arena.memory(next, MIB));
                    }
                    _ => {
                        if let Some(arena) = arena {
                            arena.mapping.copy_out(
                                extent(next, MIB),
                                &mut buffer[..MIB as usize],
                                None,
                            );
                        }
                        ring.write(next, next, buffer, MIB as usize);
                    }
                }
                next += MIB;
            }
            ring.wait(&mut completed).unwrap();
            for done in completed.drain(..) {
                assert_eq!(done.result.unwrap(), MIB as usize);
                match arena {
                    Some(arena) if !is_write => arena.take(done.token, &done.buffer, &mut digest),
                    _ => {}
                }
                free.push(done.buffer);
            }
        }
    };
    thread::scope(|scope| {
        (0..WORKERS).for_each(|worker| drop(scope.spawn(move || run(worker))));
    });
    if is_write {
        file.sync_data().unwrap();
    }
}
