//! Sources and targets of copies, each larger than every cache.

/// Unit of the places in the target, in bytes: a cache line.
const LINE: usize = 64;

/// How far memory of malloc and of Python's `bytes` is behind a multiple of a cache line, most often.
const UNALIGNED: usize = 16;

/// Source and target of all clients together.
#[derive(Debug)]
pub(super) struct Buffers {
    source: Vec<u8>,
    target: Vec<u8>,
}

/// The part of the target that one client rotates through.
#[derive(Debug)]
pub(super) struct Target<'a>(&'a mut [u8]);

/// The source, which all clients rotate through from different places.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a>(&'a [u8]);

impl Buffers {
    /// Buffers whose pages are all populated, with bytes that cannot be compressed.
    pub(super) fn new(source_len: u64, target_len: u64) -> Self {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut source = vec![0; source_len as usize];
        for word in source.chunks_exact_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes());
        }
        // With room to begin at a line, and to place objects behind one.
        Self { source, target: vec![1; target_len as usize + 2 * LINE] }
    }

    /// The source, and the target split among the clients.
    pub(super) fn split(&mut self, clients: usize) -> (Source<'_>, Vec<Target<'_>>) {
        let start = self.target.as_ptr().align_offset(LINE);
        let target = &mut self.target[start..];
        let part = target.len() / clients / LINE * LINE;
        let targets = target.chunks_exact_mut(part).take(clients).map(Target).collect();
        (Source(&self.source), targets)
    }
}

impl<'a> Source<'a> {
    /// The bytes of a client's object with this number.
    pub(super) fn object(self, client: usize, number: usize, len: usize) -> &'a [u8] {
        let places = self.0.len() / len;
        // An odd stride apart, so that clients meet as rarely as can be.
        let place = client.wrapping_mul(7919).wrapping_add(number) % places;
        &self.0[place * len..(place + 1) * len]
    }
}

impl Target<'_> {
    /// Target of a client's object with this number: at a cache line, for lengths of whole ones.
    pub(super) fn object(&mut self, number: usize, len: usize) -> &mut [u8] {
        place_of(self.0, number, len)
    }

    /// The same for one client alone, as far behind a line as memory of malloc most often is.
    pub(super) fn unaligned_object(&mut self, number: usize, len: usize) -> &mut [u8] {
        place_of(&mut self.0[UNALIGNED..], number, len)
    }
}

fn place_of(target: &mut [u8], number: usize, len: usize) -> &mut [u8] {
    let place = number % (target.len() / len);
    &mut target[place * len..(place + 1) * len]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_do_not_depend_on_the_allocator() {
        for len in [LINE, 3 * LINE, 16 * LINE] {
            let mut buffers = Buffers::new(len as u64, len as u64);
            let (_, mut targets) = buffers.split(1);
            for number in 0..3 {
                let place = targets[0].object(number, len).as_ptr().addr();
                assert_eq!(place % LINE, 0, "len={len}");
                let place = targets[0].unaligned_object(number, len).as_ptr().addr();
                assert_eq!(place % LINE, UNALIGNED, "len={len}");
            }
        }
        let mut buffers = Buffers::new(1 << 10, 1 << 10);
        let (_, mut targets) = buffers.split(3);
        assert!(targets.iter_mut().all(|target| target.object(1, 1).as_ptr().addr() % LINE == 1));
    }
}
