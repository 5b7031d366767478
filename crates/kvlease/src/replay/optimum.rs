//! The most prefix hits that any cache of a capacity can have.
//!
//! What is used again latest leaves first: Belady, "A study of replacement algorithms for a virtual-storage
//! computer", 1966. A block is never used without the blocks before it, so their next use is at the same
//! time or earlier, and of blocks with one next use the ones further back leave first. So what is kept is
//! always whole prefixes, each hit is a prefix hit, and the optimum of hits is that of prefix hits.

use std::collections::BTreeSet;

use super::trace::Trace;

/// Request that never comes.
const NEVER: u32 = u32::MAX;

/// Prefix hits of the optimum.
pub(super) fn hits(trace: &Trace, next_uses: &[u32], capacity: u32) -> u64 {
    // By the next use, and then by the place in the prompt.
    let mut kept: BTreeSet<(u32, u32, u32)> = BTreeSet::new();
    // For each block that is kept: its next use and its place.
    let mut of_block: Vec<Option<(u32, u32)>> = vec![None; trace.blocks() as usize];
    let (mut hits, mut next) = (0, next_uses.iter());
    for blocks in trace.requests() {
        hits +=
            blocks.iter().take_while(|block| of_block[**block as usize].is_some()).count() as u64;
        for ((place, block), next_use) in (0_u32..).zip(blocks).zip(&mut next) {
            if let Some((use_before, place_before)) = of_block[*block as usize].take() {
                kept.remove(&(use_before, place_before, *block));
            }
            if *next_use != NEVER {
                of_block[*block as usize] = Some((*next_use, place));
                kept.insert((*next_use, place, *block));
            }
        }
        while kept.len() > capacity as usize {
            let (_, _, block) = kept.pop_last().expect("it is longer than the capacity");
            of_block[block as usize] = None;
        }
    }
    hits
}

/// For each reference, the request that asks for the block again.
pub(super) fn next_uses(trace: &Trace) -> Vec<u32> {
    let mut next_uses = vec![NEVER; trace.references() as usize];
    let mut last = vec![NEVER; trace.blocks() as usize];
    let mut at = next_uses.len();
    for (number, blocks) in trace.requests().enumerate().rev() {
        at -= blocks.len();
        // A block that is twice in a prompt is used again by the next request that has it.
        for (next_use, block) in next_uses[at..].iter_mut().zip(blocks) {
            *next_use = last[*block as usize];
        }
        for block in blocks {
            last[*block as usize] = number as u32;
        }
    }
    next_uses
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(requests: &[&[u64]]) -> Trace {
        let mut trace = Trace::default();
        requests.iter().for_each(|blocks| trace.add(0, blocks).unwrap());
        trace
    }

    fn most(requests: &[&[u64]], capacity: u32) -> u64 {
        let trace = trace(requests);
        hits(&trace, &next_uses(&trace), capacity)
    }

    #[test]
    fn what_is_used_again_latest_leaves_first_and_the_end_of_a_prompt_before_its_front() {
        let requests: [&[u64]; 4] = [&[1, 2], &[3, 4], &[3, 4], &[1, 2]];
        assert_eq!([1, 2, 3, 4].map(|capacity| most(&requests, capacity)), [1, 2, 3, 4]);
    }

    #[test]
    fn it_is_the_most_of_all_choices() {
        // Every choice of what to keep, tried out.
        fn best(requests: &[&[u64]], kept: &[u64], capacity: usize) -> u64 {
            let Some((blocks, rest)) = requests.split_first() else { return 0 };
            let hits = blocks.iter().take_while(|block| kept.contains(block)).count() as u64;
            let mut all: Vec<u64> = kept.iter().chain(*blocks).copied().collect();
            all.sort_unstable();
            all.dedup();
            let choices =
                (0_u32..1 << all.len()).filter(|bits| bits.count_ones() as usize <= capacity);
            let after = choices.map(|bits| {
                let chosen = (0..all.len()).filter(|at| bits >> at & 1 == 1).map(|at| all[at]);
                best(rest, &chosen.collect::<Vec<_>>(), capacity)
            });
            hits + after.max().unwrap_or(0)
        }
        let requests: [&[u64]; 5] = [&[1, 2, 3], &[1, 4], &[5], &[1, 2, 3], &[1, 4]];
        for capacity in 1..=4 {
            assert_eq!(most(&requests, capacity), best(&requests, &[], capacity as usize));
        }
    }
}
