//! Survey of the arena: where space can be had in few pieces.

use std::collections::VecDeque;

use super::super::Catalog;
use crate::{classes::Favoured, objects::State, space::Tenant};

/// A stretch of the arena without pinned blocks.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Run {
    units: u32,
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Catalog {
    /// The stretches to clear for `units`: where the least must be evicted if one stretch without
    /// pinned blocks has room for all, the largest stretches otherwise, nothing if those are not
    /// enough.
    pub(super) fn stretch(&self, units: u32, blocks_max: u32, favoured: Favoured) -> Vec<Run> {
        let (best, mut runs) = self.survey(units, favoured);
        // One stretch has room for all.
        if let Some(best) = best.filter(|_| blocks_max > 0) {
            return vec![best];
        }
        // Else the largest runs, as many as there may be blocks, and no more than needed.
        runs.sort_by_key(|run| std::cmp::Reverse((run.units, run.start)));
        runs.truncate(blocks_max as usize);
        let mut found = 0;
        let enough = runs.iter().position(|run| {
            found += u64::from(run.units);
            found >= u64::from(units)
        });
        runs.truncate(enough.map_or(0, |last| last + 1));
        runs
    }

    /// Units to evict for a block to be free; `None` if it is pinned.
    fn eviction_cost(&self, tenant: Tenant, units: u32, favoured: Favoured) -> Option<u32> {
        match tenant {
            Tenant::Free => Some(0),
            Tenant::Object(slot) => {
                let object = &self.objects[slot];
                // A departed object is on its way out already.
                let departed = object.state == State::Departed;
                let may_leave = || {
                    object.is_evictable() && !self.classes.is_due_to_stay(object.class, favoured)
                };
                departed.then_some(0).or_else(|| may_leave().then_some(units))
            }
            Tenant::Quarantine => None,
        }
    }

    /// Walks over all blocks: the window of at least `units` with the least to evict, and every
    /// run without pinned blocks.
    fn survey(&self, units: u32, favoured: Favoured) -> (Option<Run>, Vec<Run>) {
        let mut runs = Vec::new();
        let mut best: Option<(u64, Run)> = None;
        // The run that the walk is in, the blocks of the window at its end, and their units and cost.
        let (mut run, mut window, mut weight) = (Run::default(), VecDeque::new(), (0_u64, 0_u64));
        for block in self.space.walk() {
            let end = block.start + block.units;
            // A pinned block ends the run, and the window with it.
            let Some(cost) = self.eviction_cost(block.tenant, block.units, favoured) else {
                runs.extend(Some(run).filter(|run| run.units > 0));
                (run, weight) = (Run { units: 0, start: end, end }, (0, 0));
                window.clear();
                continue;
            };
            (run.units, run.end) = (run.units + block.units, end);
            window.push_back((block.start, block.units, cost));
            weight = (weight.0 + u64::from(block.units), weight.1 + u64::from(cost));
            // Drop from the front what the window does not need.
            while let Some((_, first, cost)) = window.front().copied()
                && weight.0 - u64::from(first) >= u64::from(units)
            {
                window.pop_front();
                weight = (weight.0 - u64::from(first), weight.1 - u64::from(cost));
            }
            // The cheapest window so far; of equal ones the first.
            let cheaper = best.is_none_or(|(least, _)| weight.1 < least);
            if weight.0 >= u64::from(units) && cheaper {
                let start = window.front().map_or(block.start, |(start, ..)| *start);
                best = Some((weight.1, Run { units: end - start, start, end }));
            }
        }
        runs.extend(Some(run).filter(|run| run.units > 0));
        (best.map(|(_, run)| run), runs)
    }
}
