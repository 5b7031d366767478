//! Speed of copies of one object out of the segment, with and without checksum, by one thread or
//! several.
//!
//! Every figure is the median of [`ROUNDS`] passes in GB/s, with its ratio to one thread's `memcpy`
//! of the same object in brackets. Objects and buffers rotate through pools that are much larger
//! than any cache; the variants take turns within a round.
//!
//! `cargo bench -p kvlease-attach --bench read`

#![expect(unsafe_code, reason = "memcpy takes pointers")]

use std::{fs, hint::black_box, path::Path, sync::Arc, thread, time::Instant};

use kvlease_attach::{Attachment, ObjectCopy, TrustedUsers};
use kvlease_sys::{Digest, ExternalBuffer};
use kvlease_testing::median;
use kvlease_types::{ByteSize, Extent, Offset};

const POOL: usize = 256 << 20;
const PAGE: usize = 4096;
/// Length of LMCache's header, which precedes the bytes that are read into a page-aligned buffer.
const HEAD_LEN: usize = 28;
const ROUNDS: usize = 9;
const SIZES: [usize; 6] = [256 << 10, 1 << 20, 2 << 20, 4 << 20, 16 << 20, 64 << 20];

type Read = Box<dyn Fn(&Arc<Attachment>, Extent, ExternalBuffer)>;

fn main() {
    let dir = Path::new("/dev/shm");
    let name = format!("kvlease_bench_{}", std::process::id());
    fs::write(dir.join(&name), noise()).expect("room for the pool in /dev/shm");
    let attached =
        Attachment::open(dir, &name.parse().expect("a valid name"), TrustedUsers::default());
    fs::remove_file(dir.join(&name)).expect("the pool was made above");
    let attachment = Arc::new(attached.expect("the pool can be mapped"));
    let cores = thread::available_parallelism().map_or(1, usize::from);
    println!("{cores} cores, {ROUNDS} rounds, GB/s (x memcpy)\n");
    print!("{:<28}", "segment to buffer");
    SIZES.iter().for_each(|size| print!("{:>16}", format!("{} KiB", size >> 10)));
    println!();
    let variants = variants(cores);
    let columns = SIZES.map(|size| measure(&variants, size, &attachment));
    for (row, (name, _)) in variants.iter().enumerate() {
        print!("{name:<28}");
        for column in &columns {
            print!("{:>16}", format!("{:.1} ({:.2})", column[row], column[row] / column[0]));
        }
        println!();
    }
}

fn variants(cores: usize) -> Vec<(String, Read)> {
    let mut all: Vec<(String, Read)> = vec![
        ("memcpy".into(), Box::new(plain)),
        (
            "1 thread, not summed".into(),
            Box::new(|from, extent, into| fused(from, extent, into, false)),
        ),
        ("1 thread, summed".into(), Box::new(|from, extent, into| fused(from, extent, into, true))),
    ];
    let mut threads = 2;
    while threads <= cores {
        let pieces = move |from: &_, extent, into| shared(from, extent, into, threads);
        all.push((format!("{threads} threads, not summed"), Box::new(pieces)));
        threads *= 2;
    }
    all
}

fn plain(from: &Arc<Attachment>, extent: Extent, mut into: ExternalBuffer) {
    let (source, into) = (from.locate(extent).expect("it is inside"), into.as_mut());
    // SAFETY: both are as long as the extent, and the pool is not written to.
    unsafe { source.copy_to_nonoverlapping(into.as_mut_ptr(), into.len()) };
}

fn fused(from: &Arc<Attachment>, extent: Extent, mut into: ExternalBuffer, summed: bool) {
    let mut digest = Digest::new();
    let summing = summed.then_some(&mut digest);
    from.copy_part(&[extent], 0, into.as_mut(), summing).expect("it is inside");
    black_box(digest.finish());
}

fn shared(from: &Arc<Attachment>, extent: Extent, into: ExternalBuffer, threads: usize) {
    let copy = ObjectCopy::new(Arc::clone(from), vec![extent], 0, into, None);
    let copy = copy.expect("it is inside");
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(|| black_box(copy.work()));
        }
        black_box(copy.work());
    });
}

/// GB/s of each variant.
fn measure(variants: &[(String, Read)], size: usize, from: &Arc<Attachment>) -> Vec<f64> {
    let mut samples = vec![Vec::new(); variants.len()];
    let mut pool = vec![1; POOL + PAGE];
    for round in 0..=ROUNDS {
        for (samples, (_, read)) in samples.iter_mut().zip(variants) {
            let (mut buffer, vector) = ExternalBuffer::of_vec(pool);
            let address = buffer.as_ref().as_ptr() as usize;
            drop(buffer.split_to(address.next_multiple_of(PAGE) - address));
            let start = Instant::now();
            for i in 0..POOL / size {
                let extent = Extent::new(
                    Offset::new((i * size + HEAD_LEN) as u64),
                    ByteSize::new(size as u64),
                );
                read(from, extent, buffer.split_to(size));
            }
            let rate = POOL as f64 / start.elapsed().as_secs_f64() / 1e9;
            drop(buffer);
            pool = vector.take_back().expect("no buffer is left");
            // The first round warms up.
            if round > 0 {
                samples.push(rate);
            }
        }
    }
    samples.into_iter().map(median).collect()
}

fn noise() -> Vec<u8> {
    let word = |index: u64| index.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
    (0..(POOL + PAGE) as u64 / 8).flat_map(word).collect()
}
