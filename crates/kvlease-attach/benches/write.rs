//! Speed of a client's first write to each page of the arena, next to that of later ones.
//!
//! Every figure is the median of [`ROUNDS`] mappings of one segment, in GB/s, and the last column
//! their ratio. All pages of the segment are there; what a mapping lacks at first are their entries
//! in the page table of this process.
//!
//! `cargo bench -p kvlease-attach --bench write`

use std::{fs::File, io::Write, os::fd::OwnedFd, time::Instant};

use kvlease_attach::WritableAttachment;
use kvlease_sys::Digest;
use kvlease_testing::median;
use kvlease_types::{ByteSize, Extent, Offset};

const SEGMENT: usize = 256 << 20;
const ROUNDS: usize = 9;
const SIZES: [usize; 4] = [64 << 10, 256 << 10, 4 << 20, 16 << 20];

fn main() {
    let segment = tempfile::tempfile_in("/dev/shm").expect("room in /dev/shm");
    fill(&segment);
    println!("{:<12} {:>12} {:>12} {:>8}", "object", "first GB/s", "later GB/s", "ratio");
    for size in SIZES {
        let object: Vec<u8> = (0..size).map(|at| ((at * 31) >> 3) as u8).collect();
        let mut speeds = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            let descriptor = OwnedFd::from(segment.try_clone().expect("one more descriptor"));
            let mapped =
                WritableAttachment::from_descriptor(descriptor, ByteSize::new(SEGMENT as u64));
            let arena = mapped.expect("the segment can be mapped");
            for speeds in &mut speeds {
                speeds.push(speed(size, |place| {
                    let extent = Extent::new(Offset::new(place), ByteSize::new(size as u64));
                    let mut digest = Digest::new();
                    let written = arena.write_part(&[extent], 0, &object, Some(&mut digest));
                    written.expect("the extent is inside");
                }));
            }
        }
        let [first, later] = speeds.map(median);
        let object = format!("{} KiB", size >> 10);
        println!("{object:<12} {first:>12.1} {later:>12.1} {:>8.2}", first / later);
    }
}

fn fill(mut segment: &File) {
    let page = vec![7; 1 << 20];
    for _ in 0..SEGMENT / page.len() {
        segment.write_all(&page).expect("room in /dev/shm");
    }
}

/// GB/s over the whole segment, one place after the other.
fn speed(size: usize, mut write: impl FnMut(u64)) -> f64 {
    let started = Instant::now();
    (0..SEGMENT as u64).step_by(size).for_each(&mut write);
    SEGMENT as f64 / started.elapsed().as_secs_f64() / 1e9
}
