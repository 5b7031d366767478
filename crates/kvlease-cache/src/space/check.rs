//! The invariants of the allocator.

use super::{Space, Tenant, bins::Class};
use crate::slab::NONE;

impl Space {
    /// Asserts that blocks tile the populated units, that no two free ones touch, that each free
    /// one is filed in its class, and that the counters agree.
    pub(crate) fn check(&self) {
        let (mut end, mut free, mut free_blocks, mut blocks) = (0, 0, 0, 0);
        let mut below = NONE;
        let mut was_free = false;
        for block in self.walk() {
            assert!(block.units > 0, "no block is empty");
            assert_eq!(block.start, end, "blocks leave no gap and do not overlap");
            assert_eq!(block.below, below, "a block knows the one below");
            let is_free = block.tenant == Tenant::Free;
            assert!(!(is_free && was_free), "free neighbours are one block");
            if is_free {
                free += block.units;
                free_blocks += 1;
            }
            let own = if block.above == NONE { self.top } else { self.blocks[block.above].below };
            assert!(std::ptr::eq(block, &raw const self.blocks[own]), "the one above knows it");
            (end, below, was_free, blocks) = (end + block.units, own, is_free, blocks + 1);
        }
        assert_eq!(end, self.populated, "every populated unit is in a block");
        assert_eq!((free, free_blocks), (self.free, self.free_blocks), "free counters agree");
        assert_eq!(blocks, self.blocks.len(), "no block is outside of the arena");
        self.check_filing();
    }

    fn check_filing(&self) {
        let mut filed = 0;
        for (id, block) in self.blocks.iter().filter(|(_, block)| block.tenant == Tenant::Free) {
            let head = self.bins.head(Class::of(block.units));
            let first = if block.prev == NONE { head } else { self.blocks[block.prev].next };
            assert_eq!(first, id, "a free block is in the list of its class");
            filed += 1;
        }
        assert_eq!(filed, self.free_blocks, "no free block is lost");
    }
}
