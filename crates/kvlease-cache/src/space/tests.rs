use kvlease_testing::Draws;
use kvlease_types::{ByteSize, Extent, Offset};

use super::*;

fn space_of(units: u32) -> Space {
    let mut space = Space::new();
    space.append_free(units);
    space
}

fn allocate(space: &mut Space, owner: u32, units: u32) -> Option<Allocation> {
    let mut allocation = Allocation::default();
    space.extend(&mut allocation, owner, units, 64, Effort::Quick).then_some(allocation)
}

fn places(space: &Space, allocation: &Allocation, len: u64) -> Vec<(u64, u64)> {
    let extents = space.extents(allocation, 0, len);
    extents.iter().map(|extent| (extent.offset.bytes(), extent.len.bytes())).collect()
}

#[test]
fn one_extent_is_the_normal_case_and_its_length_is_exact() {
    let mut space = space_of(10);
    let allocation = allocate(&mut space, 0, 3).unwrap();
    assert_eq!(places(&space, &allocation, 2 * 4096 + 5), [(0, 2 * 4096 + 5)]);
    assert_eq!(space.free(), 7);
    space.release(allocation);
    space.check();
    assert_eq!(space.walk().count(), 1);
}

#[test]
fn a_fragmented_object_spans_several_extents_or_none() {
    let mut space = space_of(9);
    let mut kept: Vec<_> = (0..9).map(|owner| allocate(&mut space, owner, 1).unwrap()).collect();
    for index in [7, 5, 3, 1] {
        space.release(kept.remove(index));
    }
    space.check();
    let mut allocation = Allocation::default();
    assert!(!space.extend(&mut allocation, 20, 3, 2, Effort::Quick));
    space.check();
    assert_eq!((space.free(), allocation.units), (4, 0));
    assert!(space.extend(&mut allocation, 20, 3, 3, Effort::Quick));
    space.check();
    assert_eq!(allocation.blocks, 3);
    assert_eq!(places(&space, &allocation, 3 * 4096).len(), 3);
    assert!(allocate(&mut space, 21, 2).is_none());
}

#[test]
fn an_extended_object_grows_in_place_where_it_can() {
    let mut space = space_of(10);
    let mut first = allocate(&mut space, 0, 2).unwrap();
    assert!(space.extend(&mut first, 0, 2, 0, Effort::Quick));
    assert_eq!((first.blocks, first.units), (1, 4));
    let wall = allocate(&mut space, 1, 1).unwrap();
    assert!(!space.extend(&mut first, 0, 1, 0, Effort::Quick));
    assert!(space.extend(&mut first, 0, 1, 1, Effort::Quick));
    assert_eq!(places(&space, &first, 5 * 4096), [(0, 4 * 4096), (5 * 4096, 4096)]);
    let tail = space.extents(&first, 4 * 4096 - 1, 4 * 4096 + 1);
    assert_eq!(tail[0], Extent::new(Offset::new(4 * 4096 - 1), ByteSize::new(1)));
    assert_eq!(tail[1], Extent::new(Offset::new(5 * 4096), ByteSize::new(1)));
    space.release(wall);
    space.release(first);
    space.check();
    assert_eq!(space.free(), 10);
}

#[test]
fn a_trimmed_tail_is_free_again() {
    let mut space = space_of(10);
    let mut allocation = allocate(&mut space, 0, 8).unwrap();
    space.trim(&mut allocation, 3);
    space.check();
    assert_eq!((allocation.units, space.free(), space.largest_free()), (3, 7, 7));
    space.trim(&mut allocation, 0);
    assert_eq!((allocation.blocks, space.free()), (0, 10));
    space.check();
}

#[test]
fn the_space_grows_at_the_end_and_keeps_quarantine_out() {
    let mut space = space_of(4);
    let held = space.append_quarantined(2);
    space.append_free(4);
    space.check();
    assert_eq!((space.populated(), space.free()), (10, 8));
    let allocation = allocate(&mut space, 0, 8).unwrap();
    assert_eq!(places(&space, &allocation, 8 * 4096), [(6 * 4096, 4 * 4096), (0, 4 * 4096)]);
    assert_eq!(space.free_block(held), 2);
    space.release(allocation);
    space.check();
    assert_eq!(space.largest_free(), 10);
}

#[test]
fn an_exhaustive_search_overlooks_no_fit_in_its_own_class() {
    // Twenty holes of 64 units, one of 65, all of the same size class.
    let mut space = Space::new();
    for hole in 0..21 {
        space.append_free(if hole == 0 { 65 } else { 64 });
        space.append_quarantined(1);
    }
    let mut allocation = Allocation::default();
    assert!(!space.extend(&mut allocation, 0, 65, 1, Effort::Quick));
    assert!(space.extend(&mut allocation, 0, 65, 1, Effort::Exhaustive));
    space.check();
}

/// The naive model: who has each unit.
struct Model {
    owners: Vec<Option<u32>>,
}

impl Model {
    fn set(&mut self, extents: &[Extent], from: Option<u32>, to: Option<u32>) {
        for extent in extents {
            let start = (extent.offset.bytes() / 4096) as usize;
            for owner in &mut self.owners[start..start + (extent.len.bytes() / 4096) as usize] {
                assert_eq!(*owner, from, "a unit has one owner");
                *owner = to;
            }
        }
    }

    /// Lengths of the free runs, largest first.
    fn free_runs(&self) -> Vec<u32> {
        let mut runs: Vec<u32> =
            self.owners.split(Option::is_some).map(|run| run.len() as u32).collect();
        runs.sort_unstable_by_key(|run| std::cmp::Reverse(*run));
        runs
    }
}

#[test]
fn a_naive_model_agrees_with_the_allocator() {
    const OPERATIONS: u32 = 60_000;
    let mut draws = Draws::seeded(0x5eed);
    let mut space = Space::new();
    let mut model = Model { owners: Vec::new() };
    let mut live: Vec<(u32, Allocation)> = Vec::new();
    for operation in 0..OPERATIONS {
        let units = draws.below(24) as u32 + 1;
        let pick = draws.below(live.len().max(1) as u64) as usize;
        match draws.below(10) {
            0 if model.owners.len() < 600 => {
                space.append_free(units);
                model.owners.extend((0..units).map(|_| None));
            }
            1..=4 => {
                let blocks_max = draws.below(4) as u32 + 1;
                let mut allocation = Allocation::default();
                let exhaustive = draws.below(2) == 0;
                let effort = if exhaustive { Effort::Exhaustive } else { Effort::Quick };
                let done = space.extend(&mut allocation, operation, units, blocks_max, effort);
                let largest: u32 = model.free_runs().iter().take(blocks_max as usize).sum();
                assert!(!done || largest >= units, "no space comes from nowhere");
                assert!(done || largest < units || !exhaustive, "an exhaustive search finds it");
                if done {
                    let extents = space.extents(&allocation, 0, u64::from(units) * 4096);
                    model.set(&extents, None, Some(operation));
                    live.push((operation, allocation));
                }
            }
            5 if !live.is_empty() => {
                let (owner, allocation) = &mut live[pick];
                let before = u64::from(allocation.units) * 4096;
                let more = u64::from(units) * 4096;
                if space.extend(allocation, *owner, units, 4, Effort::Quick) {
                    let extents = space.extents(allocation, before, before + more);
                    model.set(&extents, None, Some(*owner));
                }
                assert!(u64::from(allocation.units) * 4096 >= before);
            }
            6 if !live.is_empty() => {
                let (owner, allocation) = &mut live[pick];
                let before = u64::from(allocation.units);
                let keep = draws.below(before + 1);
                let extents = space.extents(allocation, keep * 4096, before * 4096);
                model.set(&extents, Some(*owner), None);
                space.trim(allocation, keep as u32);
            }
            _ if !live.is_empty() => {
                let (owner, allocation) = live.swap_remove(pick);
                let len = u64::from(allocation.units) * 4096;
                model.set(&space.extents(&allocation, 0, len), Some(owner), None);
                space.release(allocation);
            }
            _ => {}
        }
        let free = model.owners.iter().filter(|owner| owner.is_none()).count();
        assert_eq!(space.free() as usize, free, "free units agree");
        if operation % 16 == 0 {
            space.check();
        }
    }
}
