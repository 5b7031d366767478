//! The table that tells readers of other processes what every slot holds.

use std::{
    fs::File,
    io::{ErrorKind, Write},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::{FileExt, MetadataExt},
    },
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

use kvlease_arena::Generations;
use kvlease_attach::GenerationsView;
use kvlease_testing::Draws;
use rustix::{
    fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create},
    io::Errno,
};

fn passed(generations: &Generations) -> OwnedFd {
    generations.descriptor().try_clone_to_owned().unwrap()
}

fn view(generations: &Generations) -> GenerationsView {
    GenerationsView::from_descriptor(passed(generations)).unwrap()
}

#[test]
fn a_view_shows_what_the_daemon_sets_and_clears() {
    let slots = 100_000;
    let generations = Generations::create(slots).unwrap();
    let view = view(&generations);
    assert_eq!((generations.slots(), view.slots()), (slots, slots));
    let mut draws = Draws::seeded(4);
    let mut held = vec![0; slots as usize];
    for generation in 1..5_000 {
        let slot = draws.index(held.len());
        held[slot] = if draws.one_in(3) { 0 } else { generation };
        match held[slot] {
            0 => generations.clear(slot as u32),
            generation => generations.set(slot as u32, generation),
        }
    }
    for (slot, generation) in (0..).zip(&held) {
        assert_eq!(view.get(slot), *generation, "slot {slot}");
    }
}

#[test]
fn slots_beyond_the_table_hold_nothing() {
    for slots in [0, 1, 511, 512, 513] {
        let generations = Generations::create(slots).unwrap();
        let view = view(&generations);
        let last = slots.max(1) as u32 - 1;
        generations.set(last, 7);
        assert_eq!(view.get(last), 7);
        for beyond in [last + 1, last + 512, u32::MAX] {
            assert_eq!(view.get(beyond), 0, "slot {beyond} of {slots}");
        }
    }
}

#[test]
fn the_table_takes_no_memory_for_slots_that_were_never_used() {
    let generations = Generations::create(1 << 32).unwrap();
    generations.set(u32::MAX, 1);
    generations.set(0, 1);
    let file = File::from(passed(&generations));
    assert!(file.metadata().unwrap().blocks() * 512 <= 2 << 21, "two pages of any size");
    assert_eq!(view(&generations).get(u32::MAX), 1);
}

#[test]
fn a_reader_can_neither_change_the_table_nor_its_size() {
    let generations = Generations::create(1_000).unwrap();
    generations.set(1, 5);
    let mut file = File::from(passed(&generations));
    assert!(file.write_all(&[1; 8]).is_err());
    assert!(file.set_len(0).is_err());
    // Not even with the daemon's own user and a descriptor for writing.
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    if let Ok(reopened) = File::options().read(true).write(true).open(path) {
        assert!(reopened.write_all_at(&[1; 8], 8).is_err());
        assert!(reopened.set_len(0).is_err() && reopened.set_len(1 << 20).is_err());
    }
    assert_eq!(view(&generations).get(1), 5);
}

#[test]
fn a_table_that_could_shrink_or_is_none_is_refused() {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let table = |len, seals| {
        let file = memfd_create("table", flags).unwrap();
        ftruncate(&file, len).unwrap();
        fcntl_add_seals(&file, seals).unwrap();
        GenerationsView::from_descriptor(file)
    };
    let refused = |len, seals| table(len, seals).unwrap_err().kind();
    assert_eq!(refused(4096, SealFlags::empty()), ErrorKind::InvalidData);
    assert_eq!(refused(4096, SealFlags::GROW), ErrorKind::InvalidData);
    assert_eq!(refused(0, SealFlags::SHRINK | SealFlags::GROW), ErrorKind::InvalidData);
    assert_eq!(refused(7, SealFlags::SHRINK | SealFlags::GROW), ErrorKind::InvalidData);
    assert_eq!(table(15, SealFlags::SHRINK | SealFlags::GROW).unwrap().slots(), 1);
    let on_tmpfs = tempfile::tempfile_in("/dev/shm").unwrap();
    on_tmpfs.set_len(4096).unwrap();
    assert!(GenerationsView::from_descriptor(on_tmpfs.into()).is_err());
    let (pipe, _end) = std::io::pipe().unwrap();
    let error = GenerationsView::from_descriptor(pipe.into()).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(Errno::INVAL.raw_os_error()));
}

#[test]
fn a_table_outlives_the_daemon_for_those_who_have_it() {
    let generations = Generations::create(8).unwrap();
    generations.set(3, 9);
    let view = view(&generations);
    let again = passed(&generations);
    drop(generations);
    assert_eq!(view.get(3), 9);
    assert_eq!(GenerationsView::from_descriptor(again).unwrap().get(3), 9);
}

/// One word of an object, written by the rule of the table: zero the cell, write, set the cell.
#[test]
fn a_generation_that_is_the_same_before_and_after_a_read_proves_it_whole() {
    const ROUNDS: u64 = 200_000;
    let generations = Generations::create(1).unwrap();
    let view = view(&generations);
    let words: [AtomicU64; 2] = Default::default();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for generation in 1..=ROUNDS {
                generations.clear(0);
                words.iter().for_each(|word| word.store(generation, Ordering::Relaxed));
                generations.set(0, generation);
            }
            done.store(true, Ordering::Relaxed);
        });
        let mut proven = 0_u64;
        while !done.load(Ordering::Relaxed) || proven == 0 {
            let before = view.get(0);
            let read = [0, 1].map(|at: usize| words[at].load(Ordering::Relaxed));
            if before != 0 && view.get(0) == before {
                assert_eq!(read, [before; 2]);
                proven += 1;
            }
        }
        assert!(proven > 0);
    });
}
