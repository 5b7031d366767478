//! Sums over the objects of one kind, kept up to date instead of counted.

use crate::objects::Object;

/// How many objects there are of a kind and what they take.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Tally {
    pub(super) objects: u64,
    pub(super) units: u64,
    pub(super) blocks: u64,
    /// Exact sizes.
    pub(super) bytes: u64,
    /// Memory beside the slots.
    pub(super) memory: u64,
}

impl Tally {
    pub(super) fn add(&mut self, object: &Object) {
        self.objects += 1;
        self.units += u64::from(object.allocation.units);
        self.blocks += u64::from(object.allocation.blocks);
        self.bytes += object.len;
        self.memory += object.memory() as u64;
    }

    pub(super) fn subtract(&mut self, object: &Object) {
        self.objects -= 1;
        self.units -= u64::from(object.allocation.units);
        self.blocks -= u64::from(object.allocation.blocks);
        self.bytes -= object.len;
        self.memory -= object.memory() as u64;
    }
}
