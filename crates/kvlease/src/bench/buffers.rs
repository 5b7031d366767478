//! Sources and targets of copies, each larger than every cache.

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
        Self { source, target: vec![1; target_len as usize] }
    }

    /// The source, and the target split among the clients.
    pub(super) fn split(&mut self, clients: usize) -> (Source<'_>, Vec<Target<'_>>) {
        let part = self.target.len() / clients;
        let targets = self.target.chunks_exact_mut(part).take(clients).map(Target).collect();
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
    /// Target of a client's object with this number.
    pub(super) fn object(&mut self, number: usize, len: usize) -> &mut [u8] {
        let place = number % (self.0.len() / len);
        &mut self.0[place * len..(place + 1) * len]
    }
}
