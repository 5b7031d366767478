//! Buffer for bytes that have arrived on a connection and are not decoded yet.

/// The least that one read has room for.
const READ_LEN_MIN: usize = 16 << 10;

/// How much memory is kept when nothing is left in it.
const KEPT_LEN_MAX: usize = 256 << 10;

/// Bytes in the order of their arrival. The memory for them is initialised once and not for each
/// read: most answers are far shorter than the room that there is for them.
#[derive(Default, Debug)]
pub(super) struct Arrived {
    memory: Vec<u8>,
    /// Begin and end of the arrived bytes in the memory.
    start: usize,
    end: usize,
}

impl Arrived {
    /// All that has arrived.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.memory[self.start..self.end]
    }

    /// Room for what arrives next, for `wanted` bytes at least.
    pub(super) fn room(&mut self, wanted: usize) -> &mut [u8] {
        self.memory.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        let len = self.end + wanted.max(READ_LEN_MIN);
        if self.memory.len() < len {
            self.memory.resize(len, 0);
        }
        &mut self.memory[self.end..]
    }

    /// Adds `len` bytes that came into the room.
    pub(super) fn add(&mut self, len: usize) {
        self.end += len;
        debug_assert!(self.end <= self.memory.len(), "no more than there is room for");
    }

    /// The first `len` bytes are done with.
    pub(super) fn take(&mut self, len: usize) {
        self.start += len;
        debug_assert!(self.start <= self.end, "no more than has arrived");
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            self.memory.truncate(KEPT_LEN_MAX);
            self.memory.shrink_to(KEPT_LEN_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(arrived: &mut Arrived, wanted: usize, bytes: &[u8]) {
        arrived.room(wanted)[..bytes.len()].copy_from_slice(bytes);
        arrived.add(bytes.len());
    }

    #[test]
    fn bytes_stay_in_order_and_memory_within_its_bounds() {
        let mut arrived = Arrived::default();
        receive(&mut arrived, 0, b"abc");
        arrived.take(1);
        receive(&mut arrived, 3, b"def");
        assert_eq!(arrived.bytes(), b"bcdef");
        let long = vec![7; 2 * KEPT_LEN_MAX];
        receive(&mut arrived, long.len(), &long);
        arrived.take(5);
        assert_eq!(arrived.bytes(), long);
        arrived.take(long.len());
        assert_eq!(arrived.bytes(), b"");
        assert!(arrived.memory.capacity() <= KEPT_LEN_MAX);
    }
}
