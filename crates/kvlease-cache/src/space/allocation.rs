//! Giving blocks to objects and taking them back.

use kvlease_types::{ByteSize, Extent, Offset};

use super::{Block, Space, Tenant};
use crate::{config::UNIT, extents::Extents, slab::NONE, space::bins::Class};

/// How many blocks of the request's own size class are tried before a larger class is taken from.
const FIT_SCAN_MAX: usize = 8;

/// The blocks of one object, chained in the order of its bytes.
///
/// Must be given back with [`Space::release`]; it is not `Clone`, so it cannot be given back twice.
#[derive(Debug)]
pub(crate) struct Allocation {
    first: u32,
    last: u32,
    /// Number of blocks.
    pub(crate) blocks: u32,
    /// Their size.
    pub(crate) units: u32,
}

impl Default for Allocation {
    fn default() -> Self {
        Self { first: NONE, last: NONE, blocks: 0, units: 0 }
    }
}

/// How hard to look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Effort {
    /// A fixed number of steps; may overlook a fit within the request's own size class.
    Quick,
    /// Finds every fit: exactly the largest blocks, and a single one where one is enough.
    Exhaustive,
}

impl Space {
    /// Adds `units` to the blocks of the object in slot `owner`, which may have none yet, in at
    /// most `blocks_max` further blocks.
    ///
    /// All or nothing: returns false and changes nothing when that does not fit.
    pub(crate) fn extend(
        &mut self,
        allocation: &mut Allocation,
        owner: u32,
        units: u32,
        blocks_max: u32,
        effort: Effort,
    ) -> bool {
        if units > self.free {
            return false;
        }
        let before = (allocation.units, allocation.blocks);
        // The units behind the last block come first: they add no block.
        self.extend_in_place(allocation, units);
        while allocation.units - before.0 < units {
            let missing = units - (allocation.units - before.0);
            // One block for all that is missing, else the largest.
            let fit = self.find_fit(missing, effort).or_else(|| self.find_largest(effort));
            let Some(id) = fit.filter(|_| allocation.blocks - before.1 < blocks_max) else {
                // Nothing is kept of an attempt that failed.
                self.trim(allocation, before.0);
                return false;
            };
            self.take(allocation, owner, id, missing);
        }
        true
    }

    /// Whether `units` fit without evicting, behind the last block of `allocation` or, if it may
    /// have another one, in one new block.
    pub(crate) fn fits(&self, allocation: &Allocation, units: u32, blocks_max: u32) -> bool {
        self.room_behind(allocation) >= units
            || (blocks_max > 0 && self.find_fit(units, Effort::Quick).is_some())
    }

    /// Gives back what lies beyond the first `units`.
    pub(crate) fn trim(&mut self, allocation: &mut Allocation, units: u32) {
        let (mut kept, mut last, mut blocks) = (0, NONE, 0);
        let mut id = allocation.first;
        // Walk over the blocks that stay, and cut the last of them.
        while id != NONE && kept < units {
            let block = self.blocks[id];
            if block.units > units - kept {
                let rest = self.split(id, units - kept);
                self.insert_free(rest);
            }
            (kept, last, blocks) = (kept + self.blocks[id].units, id, blocks + 1);
            id = block.next;
        }
        // All others are free again.
        self.release_from(id);
        if last == NONE {
            *allocation = Allocation::default();
        } else {
            self.blocks[last].next = NONE;
            *allocation = Allocation { first: allocation.first, last, blocks, units: kept };
        }
    }

    /// Gives all blocks back.
    pub(crate) fn release(&mut self, allocation: Allocation) {
        self.release_from(allocation.first);
    }

    /// The bytes from `from` to `to` of an object as places in the arena, contiguous blocks as
    /// one. One block, which is nearly every object, takes no list.
    pub(crate) fn extents(&self, allocation: &Allocation, from: u64, to: u64) -> Extents {
        if allocation.blocks == 1 && from < to {
            let block = u64::from(self.blocks[allocation.first].start) * UNIT.bytes();
            return Extent::new(Offset::new(block + from), ByteSize::new(to - from)).into();
        }
        let mut extents: Vec<Extent> = Vec::with_capacity(allocation.blocks as usize);
        let mut block_from = 0;
        for block in self.chain(allocation) {
            let block_to = block_from + u64::from(block.units) * UNIT.bytes();
            // The part of the block within the range.
            let (start, end) = (from.max(block_from), to.min(block_to));
            if start < end {
                let offset = u64::from(block.start) * UNIT.bytes() + (start - block_from);
                push_joined(&mut extents, offset, end - start);
            }
            block_from = block_to;
        }
        extents.into()
    }

    /// The blocks of an object, in the order of its bytes.
    pub(crate) fn chain(&self, allocation: &Allocation) -> impl Iterator<Item = &Block> {
        let mut id = allocation.first;
        std::iter::from_fn(move || {
            let block = (id != NONE).then(|| &self.blocks[id])?;
            id = block.next;
            Some(block)
        })
    }

    fn release_from(&mut self, mut id: u32) {
        while id != NONE {
            let next = self.blocks[id].next;
            self.free_block(id);
            id = next;
        }
    }

    /// Free units directly behind the last block.
    fn room_behind(&self, allocation: &Allocation) -> u32 {
        if allocation.last == NONE {
            return 0;
        }
        let above = self.blocks[allocation.last].above;
        if self.is_free(above) { self.blocks[above].units } else { 0 }
    }

    /// Lengthens the last block by up to `units`.
    fn extend_in_place(&mut self, allocation: &mut Allocation, units: u32) {
        let taken = self.room_behind(allocation).min(units);
        if taken == 0 {
            return;
        }
        let above = self.blocks[allocation.last].above;
        // Cut the free block behind, and merge its first part with the last block.
        self.unfile(above);
        if self.blocks[above].units > taken {
            let rest = self.split(above, taken);
            self.file(rest);
        }
        self.absorb_above(allocation.last);
        self.free -= taken;
        allocation.units += taken;
    }

    /// Takes up to `units` of the free block `id` and chains them behind the others.
    fn take(&mut self, allocation: &mut Allocation, owner: u32, id: u32, units: u32) {
        self.unfile(id);
        if self.blocks[id].units > units {
            let rest = self.split(id, units);
            self.file(rest);
        }
        let block = &mut self.blocks[id];
        (block.tenant, block.prev, block.next) = (Tenant::Object(owner), NONE, NONE);
        self.free -= block.units;
        self.adopt(allocation, id);
    }

    /// Chains a block that belongs to the object already behind the others.
    pub(crate) fn adopt(&mut self, allocation: &mut Allocation, id: u32) {
        allocation.units += self.blocks[id].units;
        allocation.blocks += 1;
        match allocation.last {
            NONE => allocation.first = id,
            last => self.blocks[last].next = id,
        }
        allocation.last = id;
    }

    /// A free block of at least `units`.
    fn find_fit(&self, units: u32, effort: Effort) -> Option<u32> {
        // All blocks of these classes fit: the first will do.
        let larger = Class::at_least(units).and_then(|class| self.bins.first_from(class));
        if larger.is_some() {
            return larger;
        }
        // Of the blocks in the request's own class, only some fit.
        let steps = if effort == Effort::Quick { FIT_SCAN_MAX } else { usize::MAX };
        self.class_members(self.bins.head(Class::of(units)))
            .take(steps)
            .find(|id| self.blocks[*id].units >= units)
    }

    fn find_largest(&self, effort: Effort) -> Option<u32> {
        let head = self.bins.highest()?;
        let steps = if effort == Effort::Quick { 1 } else { usize::MAX };
        self.class_members(head).take(steps).max_by_key(|id| self.blocks[*id].units)
    }

    fn class_members(&self, head: u32) -> impl Iterator<Item = u32> {
        std::iter::successors(Some(head).filter(|id| *id != NONE), |id| {
            Some(self.blocks[*id].next).filter(|id| *id != NONE)
        })
    }
}

fn push_joined(extents: &mut Vec<Extent>, offset: u64, len: u64) {
    if let Some(last) = extents.last_mut()
        && last.end() == Some(Offset::new(offset))
    {
        last.len = ByteSize::new(last.len.bytes() + len);
        return;
    }
    extents.push(Extent::new(Offset::new(offset), ByteSize::new(len)));
}
