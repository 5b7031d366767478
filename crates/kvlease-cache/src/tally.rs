//! Sums over the objects of one kind, kept up to date instead of counted.

use crate::objects::Object;

/// How many objects there are of a kind and what they take.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Tally {
    pub(crate) objects: u64,
    pub(crate) units: u64,
    pub(crate) blocks: u64,
    /// Exact sizes.
    pub(crate) bytes: u64,
    /// Memory beside the slots.
    pub(crate) memory: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, object: &Object) {
        self.objects += 1;
        self.units += u64::from(object.allocation.units);
        self.blocks += u64::from(object.allocation.blocks);
        self.bytes += object.len;
        self.memory += object.memory() as u64;
    }

    pub(crate) fn subtract(&mut self, object: &Object) {
        self.objects -= 1;
        self.units -= u64::from(object.allocation.units);
        self.blocks -= u64::from(object.allocation.blocks);
        self.bytes -= object.len;
        self.memory -= object.memory() as u64;
    }
}
