//! Numbers that a seed repeats.

/// A generator of the xorshift kind.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    pub(super) fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }

    /// Takes one of these out.
    pub(super) fn take<T>(&mut self, from: &mut Vec<T>) -> Option<T> {
        let at = self.below(from.len() as u64) as usize;
        (!from.is_empty()).then(|| from.swap_remove(at))
    }
}
