//! Speed of copies into and out of shared memory, next to libc's `memcpy` in the same run.
//!
//! Every figure is the median of [`ROUNDS`] turns in GB/s, with the median of its ratios to `memcpy` of the
//! same round in brackets, by the thread's processor time: what others take of the machine counts for none. Sources and destinations rotate through pools that are much
//! larger than any cache; the variants take turns within a round, so that a slow moment of the
//! machine meets all of them. The engines alone are the bound of those with a digest. The last tables
//! have their source hot in the second-level cache, as a body is that the kernel has just copied out of a
//! socket.
//!
//! `cargo bench -p kvlease-sys --bench copy`

#![expect(unsafe_code, reason = "the copy engines take pointers into shared memory")]

use std::{fs::File, hint::black_box, os::fd::AsFd, ptr::null_mut};

use crc_fast::CrcAlgorithm;
use kvlease_sys::{
    Digest,
    copy::{Engine, ReadAhead, copy_from_shared, copy_to_shared, digest_shared},
};
use kvlease_testing::median;
use rustix::{
    mm::{MapFlags, ProtFlags, mmap, mmap_anonymous},
    time::{ClockId, clock_gettime},
};

const POOL: usize = 256 << 20;
const HOT: usize = 400 << 10;
const ROUNDS: usize = 25;
/// Bytes of a turn: few, so that a slow moment meets a round as a whole.
const TURN: usize = 16 << 20;
const SIZES: [usize; 6] = [64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20, 64 << 20];
/// Bytes that a copy and a sum one after the other take at a time.
const TILE: usize = 16 << 10;
const TILES: [usize; 4] = [4 << 10, 8 << 10, 16 << 10, 32 << 10];

/// Distances, in bytes, of other targets from a cache line: half a line, what malloc and Python give, and
/// what no allocator does.
const BESIDE: [usize; 4] = [32, 16, 48, 1];
/// Bytes of a pool behind the ones that copies rotate through.
const SLACK: usize = 4 << 10;

type Copy = Box<dyn Fn(*const u8, *mut u8, usize)>;

fn main() {
    let arena = shared_pool();
    let heap = private_pool();
    let best = Engine::best();
    let way = ReadAhead::best();
    println!("best engine {best:?}, {way:?}, {ROUNDS} rounds, GB/s (x memcpy)\n");
    print_table("arena to heap", &SIZES, &reading(), arena, POOL, heap, POOL);
    print_table("heap to arena", &SIZES, &writing(), heap, POOL, arena, POOL);
    let pieces = [64 << 10, 256 << 10, HOT];
    print_table("hot source to arena", &pieces, &writing(), heap, HOT, arena, POOL);
    let large = [1 << 20, 16 << 20];
    print_table("tiles, hot source to arena", &pieces, &tiles(), heap, HOT, arena, POOL);
    print_table("tiles, heap to arena", &large, &tiles(), heap, POOL, arena, POOL);
    print_table("private tiles, arena to heap", &large, &private_tiles(), arena, POOL, heap, POOL);
    print_table("checksum alone, hot (x first)", &pieces, &sums(), heap, HOT, heap, HOT);
}

fn engines() -> Vec<(String, Copy)> {
    let mut all = vec![memcpy()];
    for engine in Engine::ALL.into_iter().skip(1).filter(|engine| engine.is_available()) {
        for read_ahead in ReadAhead::ALL {
            // SAFETY: the pools are as long as the table says, and disjoint.
            let copy = move |from, to, len| unsafe { engine.stream(from, to, len, read_ahead) };
            all.push((format!("{engine:?}, {read_ahead:?}"), Box::new(copy)));
        }
    }
    all
}

fn reading() -> Vec<(String, Copy)> {
    let mut all = engines();
    // SAFETY: the pools are as long as the table says, and disjoint.
    let copy =
        |from, to, len| digested(|digest| unsafe { copy_from_shared(from, to, len, len, digest) });
    all.push(("engine + digest".into(), Box::new(copy)));
    for beside in BESIDE {
        let copy = move |from, to: *mut u8, len| {
            // SAFETY: likewise, and the pools go on for longer than that.
            digested(|digest| unsafe {
                copy_from_shared(from, to.wrapping_add(beside), len, len, digest);
            });
        };
        all.push((format!("engine + digest, to + {beside}"), Box::new(copy)));
    }
    // SAFETY: likewise.
    let sum = |from, _, len| digested(|digest| unsafe { digest_shared(from, len, digest) });
    all.push(("digest alone".into(), Box::new(sum)));
    all
}

fn writing() -> Vec<(String, Copy)> {
    let mut all = engines();
    // SAFETY: the pools are as long as the table says, and disjoint.
    let copy = |from, to, len| digested(|digest| unsafe { copy_to_shared(from, to, len, digest) });
    all.push(("engine + digest".into(), Box::new(copy)));
    all.push((
        "CRC-64/NVME (crc-fast)".into(),
        Box::new(|from, to, len| {
            let mut digest = crc_fast::Digest::new(CrcAlgorithm::Crc64Nvme);
            in_tiles(from, to, len, TILE, |bytes| digest.update(bytes));
            black_box(digest.finalize());
        }),
    ));
    all.push((
        "XXH3 (xxhash-rust)".into(),
        Box::new(|from, to, len| {
            let mut hash = xxhash_rust::xxh3::Xxh3::new();
            in_tiles(from, to, len, TILE, |bytes| hash.update(bytes));
            black_box(hash.digest());
        }),
    ));
    all
}

/// Tiles of other sizes, summed where they are.
fn tiles() -> Vec<(String, Copy)> {
    let mut all = vec![memcpy()];
    for tile in TILES {
        let copy = move |from, to, len| {
            digested(|digest| in_tiles(from, to, len, tile, |bytes| digest.update(bytes)));
        };
        all.push((format!("digest, {} KiB", tile >> 10), Box::new(copy)));
    }
    all
}

/// Tiles of other sizes, copied privately before they are summed.
fn private_tiles() -> Vec<(String, Copy)> {
    let mut all = vec![memcpy()];
    for tile in TILES {
        let copy = move |from: *const u8, to: *mut u8, len| {
            let mut private = vec![0; tile];
            digested(|digest| {
                for start in (0..len).step_by(tile) {
                    let tile = tile.min(len - start);
                    plain(from.wrapping_add(start), private.as_mut_ptr(), tile);
                    let to = to.wrapping_add(start);
                    in_tiles(private.as_ptr(), to, tile, tile, |bytes| digest.update(bytes));
                }
            });
        };
        all.push((format!("digest, {} KiB", tile >> 10), Box::new(copy)));
    }
    all
}

fn sums() -> Vec<(String, Copy)> {
    vec![
        (
            "XXH3 (twox-hash)".into(),
            Box::new(|from, _, len| {
                black_box(Digest::of(slice(from, len)));
            }),
        ),
        (
            "XXH3 (xxhash-rust)".into(),
            Box::new(|from, _, len| {
                black_box(xxhash_rust::xxh3::xxh3_64(slice(from, len)));
            }),
        ),
        (
            "CRC-64/NVME (crc-fast)".into(),
            Box::new(|from, _, len| {
                black_box(crc_fast::checksum(CrcAlgorithm::Crc64Nvme, slice(from, len)));
            }),
        ),
    ]
}

fn memcpy() -> (String, Copy) {
    ("memcpy".into(), Box::new(plain))
}

fn digested(copy: impl FnOnce(&mut Digest)) {
    let mut digest = Digest::new();
    copy(&mut digest);
    black_box(digest.finish());
}

fn print_table(
    title: &str,
    sizes: &[usize],
    variants: &[(String, Copy)],
    from: *mut u8,
    from_pool: usize,
    to: *mut u8,
    to_pool: usize,
) {
    print!("{title:<28}");
    sizes.iter().for_each(|size| print!("{:>16}", format!("{} KiB", size >> 10)));
    println!();
    let columns: Vec<Vec<Figure>> = sizes
        .iter()
        .map(|&size| measure(variants, size, (from, from_pool), (to, to_pool)))
        .collect();
    for (row, (name, _)) in variants.iter().enumerate() {
        print!("{name:<28}");
        for column in &columns {
            let Figure { rate, ratio } = column[row];
            print!("{:>16}", format!("{rate:.1} ({ratio:.2})"));
        }
        println!();
    }
    println!();
}

/// GB/s, and the ratio to the first variant; medians of the rounds.
struct Figure {
    rate: f64,
    ratio: f64,
}

/// The figure of each variant.
fn measure(
    variants: &[(String, Copy)],
    size: usize,
    (from, from_pool): (*mut u8, usize),
    (to, to_pool): (*mut u8, usize),
) -> Vec<Figure> {
    let (from_places, to_places) = (from_pool / size, to_pool / size);
    let copies = TURN.div_ceil(size);
    let mut place = 0;
    let mut turn = |copy: &Copy| {
        let start = processor_time();
        for _ in 0..copies {
            let (read, written) = (place % from_places, place % to_places);
            copy(from.wrapping_add(read * size), to.wrapping_add(written * size), size);
            place += 1;
        }
        (copies * size) as f64 / (processor_time() - start) / 1e9
    };
    // The first round warms up.
    let mut round = || variants.iter().map(|(_, copy)| turn(copy)).collect::<Vec<_>>();
    round();
    let rounds: Vec<_> = (0..ROUNDS).map(|_| round()).collect();
    let of = |figure: &dyn Fn(&[f64]) -> f64| median(rounds.iter().map(|it| figure(it)));
    let variants = 0..variants.len();
    variants
        .map(|it| Figure { rate: of(&|all| all[it]), ratio: of(&|all| all[it] / all[0]) })
        .collect()
}

/// Processor time of this thread, in seconds.
fn processor_time() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn plain(from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: the pools are as long as the table says; equal pools are only summed or copied
    // onto themselves, which the libc function used here allows.
    unsafe { std::ptr::copy(from, to, len) };
}

fn slice<'a>(from: *const u8, len: usize) -> &'a [u8] {
    // SAFETY: the pool outlives the run, and is not written to while it is summed.
    unsafe { std::slice::from_raw_parts(from, len) }
}

fn in_tiles(from: *const u8, to: *mut u8, len: usize, tile: usize, mut sum: impl FnMut(&[u8])) {
    for start in (0..len).step_by(tile) {
        let tile = tile.min(len - start);
        sum(slice(from.wrapping_add(start), tile));
        let (from, to) = (from.wrapping_add(start), to.wrapping_add(start));
        // SAFETY: the pools are as long as the table says, and disjoint.
        unsafe { Engine::best().stream(from, to, tile, ReadAhead::best()) };
    }
}

fn shared_pool() -> *mut u8 {
    let file: File = tempfile::tempfile_in("/dev/shm").expect("a file on /dev/shm");
    file.set_len((POOL + SLACK) as u64).expect("room for the pool");
    let access = ProtFlags::READ | ProtFlags::WRITE;
    let flags = MapFlags::SHARED | MapFlags::POPULATE;
    // SAFETY: the kernel picks the place; the mapping is never undone.
    let pool = unsafe { mmap(null_mut(), POOL + SLACK, access, flags, file.as_fd(), 0) };
    filled(pool.expect("a mapping").cast())
}

fn private_pool() -> *mut u8 {
    let access = ProtFlags::READ | ProtFlags::WRITE;
    let flags = MapFlags::PRIVATE | MapFlags::POPULATE;
    // SAFETY: the kernel picks the place; the mapping is never undone.
    let pool = unsafe { mmap_anonymous(null_mut(), POOL + SLACK, access, flags) };
    filled(pool.expect("a mapping").cast())
}

fn filled(pool: *mut u8) -> *mut u8 {
    for word in 0..POOL / 8 {
        let value = (word as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        // SAFETY: the word is within the pool, which is page-aligned.
        unsafe { pool.cast::<u64>().add(word).write(value) };
    }
    pool
}
