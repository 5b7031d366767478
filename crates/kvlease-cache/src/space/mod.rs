//! The extent allocator: which units of the arena are free, and who has the others.
//!
//! Blocks tile the populated part of the arena without a gap. Their descriptors live here, never
//! in the arena: a hostile reader of the arena cannot damage them, and the memory they take grows
//! with the number of blocks, not with the size of the arena. Neighbours know each other, so a
//! freed block joins the free ones beside it at once: no two free blocks ever touch. Free blocks
//! are found by size class ([`bins`]). A block that is taken belongs to one tenant; the blocks of
//! an object are chained in the order of its bytes ([`Allocation`]).

mod allocation;
mod bins;
mod check;

pub(crate) use allocation::{Allocation, Effort};

use crate::slab::{NONE, Slab};
use bins::{Bins, Class};

/// Tenant of a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tenant {
    /// None: the block is free.
    Free,
    /// A reader that an earlier incarnation may have granted a lease to.
    Quarantine,
    /// The object in this slot.
    Object(u32),
}

/// A run of units.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    pub(crate) start: u32,
    pub(crate) units: u32,
    pub(crate) tenant: Tenant,
    /// Neighbours by address.
    below: u32,
    above: u32,
    /// Neighbours in the list of the size class; `next` chains the blocks of an object instead
    /// while one has them.
    prev: u32,
    next: u32,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Space {
    blocks: Slab<Block>,
    bins: Bins,
    /// The block with the highest address.
    top: u32,
    populated: u32,
    free: u32,
    free_blocks: u32,
}

impl Space {
    /// Memory per block, for the accounting; an eighth is growth slack.
    pub(crate) const BLOCK_BYTES: usize = size_of::<crate::slab::Entry<Block>>() * 9 / 8;

    /// Nothing is populated.
    pub(crate) fn new() -> Self {
        let blocks = Slab::new();
        Self { blocks, bins: Bins::new(), top: NONE, populated: 0, free: 0, free_blocks: 0 }
    }

    /// Units that exist.
    pub(crate) const fn populated(&self) -> u32 {
        self.populated
    }

    /// Free units.
    pub(crate) const fn free(&self) -> u32 {
        self.free
    }

    /// Blocks with a tenant.
    pub(crate) const fn taken_blocks(&self) -> u64 {
        self.blocks.len() as u64 - self.free_blocks as u64
    }

    /// Block descriptors, holes included: what the memory is accounted by.
    pub(crate) const fn span(&self) -> usize {
        self.blocks.span()
    }

    /// A free block of the highest size class: at most 1/32 smaller than the largest there is.
    pub(crate) fn largest_free(&self) -> u32 {
        self.bins.highest().map_or(0, |id| self.blocks[id].units)
    }

    /// The blocks by rising address. Takes time and memory in proportion to their number.
    pub(crate) fn walk(&self) -> impl Iterator<Item = &Block> {
        // The slab's order is not the address order: go down from the top to find the first.
        let mut order = Vec::with_capacity(self.blocks.len());
        let mut id = self.top;
        while id != NONE {
            order.push(id);
            id = self.blocks[id].below;
        }
        order.into_iter().rev().map(|id| &self.blocks[id])
    }

    /// Adds `units` free units at the end.
    pub(crate) fn append_free(&mut self, units: u32) {
        if units > 0 {
            let id = self.append(units, Tenant::Free);
            self.insert_free(id);
        }
    }

    /// Adds `units` quarantined units at the end, to be freed by [`Space::free_block`].
    pub(crate) fn append_quarantined(&mut self, units: u32) -> u32 {
        self.append(units, Tenant::Quarantine)
    }

    /// Adds `units` units at the end that the object in slot `owner` has; to be
    /// [adopted](Space::adopt) by its allocation.
    pub(crate) fn append_taken(&mut self, units: u32, owner: u32) -> u32 {
        self.append(units, Tenant::Object(owner))
    }

    fn append(&mut self, units: u32, tenant: Tenant) -> u32 {
        let start = self.populated;
        let (below, above) = (self.top, NONE);
        let id = self.blocks.insert(Block {
            start,
            units,
            tenant,
            below,
            above,
            prev: NONE,
            next: NONE,
        });
        if below != NONE {
            self.blocks[below].above = id;
        }
        self.top = id;
        self.populated += units;
        id
    }

    /// Frees one block; it joins its free neighbours. Returns its units.
    pub(crate) fn free_block(&mut self, id: u32) -> u32 {
        debug_assert_ne!(self.blocks[id].tenant, Tenant::Free, "a block is freed once");
        let freed = self.blocks[id].units;
        self.insert_free(id);
        freed
    }

    /// Makes a block free: merges it with its free neighbours and files the result.
    fn insert_free(&mut self, mut id: u32) {
        self.free += self.blocks[id].units;
        let Block { below, above, .. } = self.blocks[id];
        if self.is_free(above) {
            self.unfile(above);
            self.absorb_above(id);
        }
        if self.is_free(below) {
            self.unfile(below);
            self.absorb_above(below);
            id = below;
        }
        self.file(id);
    }

    fn is_free(&self, id: u32) -> bool {
        id != NONE && self.blocks[id].tenant == Tenant::Free
    }

    /// Joins the block above `id` to it.
    fn absorb_above(&mut self, id: u32) {
        let gone = self.blocks[id].above;
        let upper = self.blocks.remove(gone).expect("a block has the neighbour it names");
        let block = &mut self.blocks[id];
        block.units += upper.units;
        block.above = upper.above;
        self.rejoin_above(id);
    }

    /// Tells the block above `id`, or the top, that `id` is below it.
    fn rejoin_above(&mut self, id: u32) {
        match self.blocks[id].above {
            NONE => self.top = id,
            above => self.blocks[above].below = id,
        }
    }

    /// Cuts a block that is in no list to `units`; the rest becomes a new, unfiled block above it.
    fn split(&mut self, id: u32, units: u32) -> u32 {
        let Block { start, units: whole, tenant, above, .. } = self.blocks[id];
        let rest = self.blocks.insert(Block {
            start: start + units,
            units: whole - units,
            tenant,
            below: id,
            above,
            prev: NONE,
            next: NONE,
        });
        let block = &mut self.blocks[id];
        block.units = units;
        block.above = rest;
        self.rejoin_above(rest);
        rest
    }

    /// Puts a free block first in the list of its class.
    fn file(&mut self, id: u32) {
        let class = Class::of(self.blocks[id].units);
        let next = self.bins.head(class);
        let block = &mut self.blocks[id];
        (block.tenant, block.prev, block.next) = (Tenant::Free, NONE, next);
        if next != NONE {
            self.blocks[next].prev = id;
        }
        self.bins.set_head(class, id);
        self.free_blocks += 1;
    }

    /// Takes a free block out of the list of its class.
    fn unfile(&mut self, id: u32) {
        let Block { units, prev, next, .. } = self.blocks[id];
        if prev == NONE {
            self.bins.set_head(Class::of(units), next);
        } else {
            self.blocks[prev].next = next;
        }
        if next != NONE {
            self.blocks[next].prev = prev;
        }
        self.free_blocks -= 1;
    }
}

#[cfg(test)]
mod tests;
