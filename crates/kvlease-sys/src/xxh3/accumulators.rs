//! The eight accumulators, and their merge into the checksum.

use super::{
    LAST_SECRET, MERGE_SECRET, PRIME32_1, PRIME32_2, PRIME32_3, PRIME64_1, PRIME64_2, PRIME64_3,
    PRIME64_4, PRIME64_5, SCRAMBLE_SECRET, SECRET, STRIPE,
};

/// State of a sum over whole stripes.
#[derive(Clone, Debug)]
#[repr(align(32))]
pub(crate) struct Accumulators(pub(super) [u64; 8]);

impl Accumulators {
    pub(crate) const fn new() -> Self {
        Self([
            PRIME32_3, PRIME64_1, PRIME64_2, PRIME64_3, PRIME64_4, PRIME32_2, PRIME64_5, PRIME32_1,
        ])
    }

    /// Takes in the stripe with this number in its block.
    pub(crate) fn take(&mut self, stripe: &[u8; STRIPE], number: usize) {
        self.mix(stripe, number * 8);
    }

    /// Takes in the input's last 64 bytes, whether they were taken in before or not.
    pub(crate) fn take_last(&mut self, stripe: &[u8; STRIPE]) {
        self.mix(stripe, LAST_SECRET);
    }

    fn mix(&mut self, stripe: &[u8; STRIPE], secret: usize) {
        for lane in 0..8 {
            // Each lane's neighbour gets the data, the lane itself the product of the keyed halves.
            let data = word(stripe, lane * 8);
            let keyed = data ^ word(&SECRET, secret + lane * 8);
            self.0[lane ^ 1] = self.0[lane ^ 1].wrapping_add(data);
            let product = (keyed & 0xffff_ffff).wrapping_mul(keyed >> 32);
            self.0[lane] = self.0[lane].wrapping_add(product);
        }
    }

    /// Ends a block.
    pub(crate) fn scramble(&mut self) {
        for (lane, acc) in self.0.iter_mut().enumerate() {
            let keyed = *acc ^ (*acc >> 47) ^ word(&SECRET, SCRAMBLE_SECRET + lane * 8);
            *acc = keyed.wrapping_mul(PRIME32_1);
        }
    }

    /// The checksum of an input of `len` bytes, all taken in.
    pub(crate) fn merge(&self, len: u64) -> u64 {
        let mut result = len.wrapping_mul(PRIME64_1);
        for pair in 0..4 {
            let secret = MERGE_SECRET + pair * 16;
            let left = self.0[2 * pair] ^ word(&SECRET, secret);
            let right = self.0[2 * pair + 1] ^ word(&SECRET, secret + 8);
            let product = u128::from(left) * u128::from(right);
            // Both halves of the 128-bit product count.
            result = result.wrapping_add(product as u64 ^ (product >> 64) as u64);
        }
        // The avalanche: every bit of the state reaches every bit of the checksum.
        result ^= result >> 37;
        result = result.wrapping_mul(0x1656_6791_9E37_79F9);
        result ^ (result >> 32)
    }
}

fn word(bytes: &[u8], at: usize) -> u64 {
    let word = bytes[at..at + 8].try_into();
    u64::from_le_bytes(word.expect("eight bytes"))
}
