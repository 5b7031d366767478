//! Free blocks by size class, after TLSF ("two-level segregated fit", Masmano, Ripoll, Crespo and
//! Real, ECRTS 2004): a first level of powers of two, each split into 32 classes, and bitmaps that
//! find the next class with a block in it in a fixed number of steps.

use crate::slab::NONE;

/// Classes per power of two, as a power of two: a class spans 1/32 of its size.
const SPLIT_BITS: u32 = 5;
const SPLIT: usize = 1 << SPLIT_BITS;
/// Sizes below 32 units share the first level; the others reach up to 2^32 units.
const LEVELS: usize = (u32::BITS - SPLIT_BITS + 1) as usize;

/// A size class.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Class {
    level: usize,
    split: usize,
}

impl Class {
    /// The class that blocks of this many units are kept in.
    pub(super) const fn of(units: u32) -> Self {
        if (units as usize) < SPLIT {
            return Self { level: 0, split: units as usize };
        }
        let shift = units.ilog2() - SPLIT_BITS;
        Self { level: shift as usize + 1, split: (units >> shift) as usize - SPLIT }
    }

    /// The lowest class of which every block has at least this many units, if 32 bits can hold it.
    pub(super) fn at_least(units: u32) -> Option<Self> {
        let slack =
            units.max(1).ilog2().checked_sub(SPLIT_BITS).map_or(0, |shift| (1 << shift) - 1);
        units.checked_add(slack).map(Self::of)
    }
}

/// The first block of every class, and which classes have one.
#[derive(Debug)]
pub(super) struct Bins {
    levels: u32,
    splits: [u32; LEVELS],
    heads: Box<[[u32; SPLIT]; LEVELS]>,
}

impl Bins {
    pub(super) fn new() -> Self {
        Self { levels: 0, splits: [0; LEVELS], heads: Box::new([[NONE; SPLIT]; LEVELS]) }
    }

    pub(super) fn head(&self, class: Class) -> u32 {
        self.heads[class.level][class.split]
    }

    /// Makes `id` the first block of `class`; [`NONE`] empties the class.
    pub(super) fn set_head(&mut self, class: Class, id: u32) {
        self.heads[class.level][class.split] = id;
        let bit = 1 << class.split;
        if id == NONE {
            self.splits[class.level] &= !bit;
        } else {
            self.splits[class.level] |= bit;
        }
        let level = 1 << class.level;
        if self.splits[class.level] == 0 {
            self.levels &= !level;
        } else {
            self.levels |= level;
        }
    }

    /// The first block of the lowest class, from `class` on, that has one.
    pub(super) fn first_from(&self, class: Class) -> Option<u32> {
        let splits = self.splits[class.level] & (u32::MAX << class.split);
        if splits != 0 {
            let split = splits.trailing_zeros() as usize;
            return Some(self.heads[class.level][split]);
        }
        let levels = self.levels & u32::MAX.checked_shl(class.level as u32 + 1).unwrap_or(0);
        if levels == 0 {
            return None;
        }
        let level = levels.trailing_zeros() as usize;
        let split = self.splits[level].trailing_zeros() as usize;
        Some(self.heads[level][split])
    }

    /// The first block of the highest class that has one.
    pub(super) fn highest(&self) -> Option<u32> {
        let level = self.levels.checked_ilog2()? as usize;
        let split = self.splits[level].ilog2() as usize;
        Some(self.heads[level][split])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_rise_with_the_size_and_span_a_32nd_of_it() {
        let position = |class: Class| class.level * SPLIT + class.split;
        for units in (1..100_000).chain([u32::MAX - 1, u32::MAX]) {
            let own = position(Class::of(units));
            assert!(own >= position(Class::of(units - 1)), "{units}");
            match Class::at_least(units) {
                Some(class) => {
                    let smaller = position(Class::of(units - 1));
                    assert!(position(class) > smaller || Class::of(units) == class, "{units}");
                    assert!(position(class) - own <= 1, "{units}");
                }
                None => assert!(units > u32::MAX / 33 * 32),
            }
        }
    }

    #[test]
    fn bitmaps_find_the_next_class_and_the_highest() {
        let mut bins = Bins::new();
        assert_eq!((bins.first_from(Class::of(1)), bins.highest()), (None, None));
        for (id, units) in (0..).zip([3, 40, 70_000, u32::MAX]) {
            bins.set_head(Class::of(units), id);
        }
        assert_eq!(bins.first_from(Class::of(1)), Some(0));
        assert_eq!(bins.first_from(Class::of(4)), Some(1));
        assert_eq!(bins.first_from(Class::of(41)), Some(2));
        assert_eq!(bins.first_from(Class::of(u32::MAX)), Some(3));
        assert_eq!(bins.highest(), Some(3));
        bins.set_head(Class::of(u32::MAX), NONE);
        assert_eq!(bins.highest(), Some(2));
        assert_eq!(bins.first_from(Class::of(80_000)), None);
    }
}
