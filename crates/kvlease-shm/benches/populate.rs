//! How fast an arena's memory comes into being: reserved, populated, both, by one thread or two.
//!
//! Every figure is the median of [`ROUNDS`] passes over a fresh file of [`LEN`] bytes. Run it on
//! another tmpfs by `KVLEASE_BENCH_DIR`, for example one that is mounted with `huge=advise`.
//!
//! `cargo bench -p kvlease-shm --bench populate`

#![expect(unsafe_code, reason = "advice on a mapping takes pointers")]

use std::{env, fs::File, os::fd::AsFd, ptr::null_mut, thread, time::Instant};

use rustix::{
    fs::{FallocateFlags, fallocate},
    mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap},
};

const LEN: usize = 2 << 30;
const STEP: usize = 64 << 20;
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
fn pass(dir: &str, reserve: bool, threads: usize) -> (f64, f64) {
    let file: File = tempfile::tempfile_in(dir).expect("a file on tmpfs");
    file.set_len(LEN as u64).expect("a length");
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: the kernel picks the place.
    let mapping = unsafe { mmap(null_mut(), LEN, access, MapFlags::SHARED, file.as_fd(), 0) };
    let start: *mut u8 = mapping.expect("a mapping").cast();
    // SAFETY: the whole mapping; a kernel without huge pages refuses, which is no matter here.
    let _unheeded = unsafe { madvise(start.cast(), LEN, Advice::LinuxHugepage) };
    let begun = Instant::now();
    if reserve {
        for offset in (0..LEN).step_by(STEP) {
            fallocate(&file, FallocateFlags::empty(), offset as u64, STEP as u64).expect("room");
        }
    }
    let reserved = rate(begun);
    let start = start.expose_provenance();
    thread::scope(|scope| {
        for first in 0..threads {
            scope.spawn(move || {
                for offset in (first * STEP..LEN).step_by(threads * STEP) {
                    let step = std::ptr::with_exposed_provenance_mut(start + offset);
                    // SAFETY: the step is within the mapping, which outlives the scope.
                    unsafe { madvise(step, STEP, Advice::LinuxPopulateWrite) }.expect("memory");
                }
            });
        }
    });
    let all = rate(begun);
    // SAFETY: nobody uses the mapping any more.
    unsafe { munmap(std::ptr::with_exposed_provenance_mut(start), LEN) }.expect("unmapped");
    (reserved, all)
}

fn rate(begun: Instant) -> f64 {
    LEN as f64 / begun.elapsed().as_secs_f64() / 1e9
}
