//! Last use of an object, and its class.

/// Classes of objects: those that have not come back, those that have, and those that have often.
pub(super) const CLASSES: usize = BEGINS.len();

/// Returns with which a class begins.
const BEGINS: [u64; 3] = [0, 1, 8];

/// Returns that are counted at most.
const RETURNS_MAX: u64 = BEGINS[CLASSES - 1];

/// Last use of an object: its time in uses of the cache, and in the lowest bits how often it came back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Use(u64);

impl Use {
    /// Bits of the number of returns.
    const RETURNS_BITS: u32 = (RETURNS_MAX + 1).next_power_of_two().ilog2();

    /// The first use of an object.
    pub(super) const fn first(at: u64) -> Self {
        Self(at << Self::RETURNS_BITS)
    }

    /// The use after this one.
    pub(super) fn again(self, at: u64) -> Self {
        let returns = (self.returns() + 1).min(RETURNS_MAX);
        Self(at << Self::RETURNS_BITS | returns)
    }

    pub(super) const fn at(self) -> u64 {
        self.0 >> Self::RETURNS_BITS
    }

    pub(super) fn class(self) -> usize {
        BEGINS.iter().skip(1).filter(|begin| self.returns() >= **begin).count()
    }

    const fn returns(self) -> u64 {
        self.0 & ((1 << Self::RETURNS_BITS) - 1)
    }
}
