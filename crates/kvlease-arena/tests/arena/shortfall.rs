//! Memory that runs out on the way is a number, not a signal.

use std::fs;

use kvlease_arena::{Arena, SegmentOptions};
use kvlease_testing::in_tmpfs_of;
use kvlease_types::ByteSize;

use crate::fixture::{LEASE_TTL_MAX, extent, name, read, write};

const TEST: &str = "shortfall::a_tmpfs_that_fills_up_on_the_way_leaves_a_smaller_arena";

#[test]
fn a_tmpfs_that_fills_up_on_the_way_leaves_a_smaller_arena() {
    if let Some(dir) = in_tmpfs_of("24m", TEST) {
        fill_up(dir);
    }
}

fn fill_up(dir: std::path::PathBuf) {
    let options = SegmentOptions {
        dir: dir.clone(),
        ..SegmentOptions::new(name(), ByteSize::mib(12), LEASE_TTL_MAX)
    };
    let beyond = SegmentOptions { create_capacity: ByteSize::mib(20), ..options.clone() };
    let line = Arena::open(&beyond).unwrap_err().to_string();
    assert!(line.contains("size=`24MiB`") && line.contains("remount,size="), "{line}");

    let arena = Arena::open(&options).unwrap();
    fs::write(dir.join("other"), vec![1; 16 << 20]).unwrap();
    let shortfall = arena.populate_next().unwrap_err();
    assert_eq!(shortfall.capacity, ByteSize::mib(12));
    assert!(shortfall.good >= ByteSize::mib(4) && shortfall.good < ByteSize::mib(8));
    assert_eq!(shortfall.source.kind(), std::io::ErrorKind::StorageFull);
    while !arena.populate_next().unwrap().is_complete() {}
    assert_eq!(arena.populated(), shortfall.good);
    let last = shortfall.good.bytes() - 4096;
    write(&arena, last, &[9; 4096]);
    assert_eq!(read(&arena, last, 4096), [9; 4096]);
    drop(arena);

    let arena = Arena::open(&options).unwrap();
    assert!(arena.reopened(), "a restart gets what there is, again");
    assert_eq!(arena.populate_next().unwrap_err().good, shortfall.good);
    arena.lease_fence().raise(&[extent(0, 1)], kvlease_sys::boot_time());
}
