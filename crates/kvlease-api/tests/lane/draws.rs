//! Numbers drawn from a seed.

/// A generator whose seed is printed, and replayed from `KVLEASE_TEST_SEED`.
pub(crate) struct Draws(u64);

impl Draws {
    pub(crate) fn new() -> Self {
        let seed = std::env::var("KVLEASE_TEST_SEED").map_or(0x1a4e, |seed| seed.parse().unwrap());
        println!("replay with KVLEASE_TEST_SEED={seed}");
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// A key: mostly letters, sometimes not of one byte each.
    pub(crate) fn key(&mut self) -> String {
        let len = 1 + self.below(90);
        let letters = ['a', 'Z', '0', '@', '/', '-', 'ü', '日', '\0', ' '];
        (0..len).map(|_| letters[self.below(letters.len())]).collect()
    }
}

/// How many rounds a test makes: `default`, unless `KVLEASE_TEST_ROUNDS` says otherwise.
pub(crate) fn rounds(default: usize) -> usize {
    std::env::var("KVLEASE_TEST_ROUNDS").map_or(default, |rounds| rounds.parse().unwrap())
}
