//! Speed of the population of an arena: reserving, populating, both, by one thread or two.
//!
//! Every figure is the median of [`ROUNDS`] passes over a fresh file of [`LEN`] bytes. Run it on
//! another tmpfs by `KVLEASE_BENCH_DIR`, for example one that is mounted with `huge=advise`.
//!
//! `cargo bench -p kvlease-arena --bench populate`

use std::{env, fs::File, os::fd::AsFd, thread, time::Instant};

use kvlease_sys::{Access, Advice, Mapping};
use kvlease_types::{ByteSize, Extent, Offset};
use rustix::fs::{FallocateFlags, fallocate};

const LEN: u64 = 2 << 30;
const STEP: u64 = 64 << 20;
const ROUNDS: usize = 3;

fn main() {
    let dir = env::var("KVLEASE_BENCH_DIR").unwrap_or_else(|_| "/dev/shm".into());
    println!("GB/s of {} MiB in {dir}", LEN >> 20);
    for (name, reserve, threads) in [
        ("reserve only", true, 0),
        ("populate only", false, 1),
        ("populate only, 2 threads", false, 2),
        ("reserve, then populate", true, 1),
        ("reserve, then populate, 2 threads", true, 2),
    ] {
        let mut rates: Vec<(f64, f64)> =
            (0..ROUNDS).map(|_| pass(&dir, reserve, threads)).collect();
        rates.sort_by(|a, b| a.1.total_cmp(&b.1));
        let (reserved, all) = rates[ROUNDS / 2];
        println!("{name:<36}{all:>6.2}  (reserving {reserved:.2})");
    }
}

/// The rate of reserving, and that of everything.
fn pass(dir: &str, reserve: bool, threads: u64) -> (f64, f64) {
    let file: File = tempfile::tempfile_in(dir).expect("a file on tmpfs");
    file.set_len(LEN).expect("a length");
    let mapping = Mapping::new(file.as_fd(), LEN as usize, Access::ReadWrite).expect("a mapping");
    // A kernel without huge pages refuses.
    let _unheeded = mapping.advise(extent(0, LEN), Advice::HugePages);
    let begun = Instant::now();
    if reserve {
        for offset in (0..LEN).step_by(STEP as usize) {
            fallocate(&file, FallocateFlags::empty(), offset, STEP).expect("room");
        }
    }
    let reserved = rate(begun);
    thread::scope(|scope| {
        for first in 0..threads {
            let mapping = &mapping;
            scope.spawn(move || {
                for offset in (first * STEP..LEN).step_by((threads * STEP) as usize) {
                    let step = extent(offset, STEP);
                    mapping.advise(step, Advice::PopulateWrite).expect("memory");
                }
            });
        }
    });
    (reserved, rate(begun))
}

fn extent(at: u64, len: u64) -> Extent {
    Extent::new(Offset::new(at), ByteSize::new(len))
}

fn rate(begun: Instant) -> f64 {
    LEN as f64 / begun.elapsed().as_secs_f64() / 1e9
}
