//! Command that stores a value, in the parts that it is sent in.

use std::{collections::VecDeque, io::IoSlice, io::Write, time::Duration};

use bytes::{Buf, Bytes};
use redis::{Cmd, RedisWrite};

/// Command that stores a value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Set {
    name: String,
    value: Vec<Bytes>,
    /// Time after which the server drops the value.
    ttl: Option<Duration>,
}

impl Set {
    /// The command for a value that is one behind the other of these bytes.
    pub(super) fn new(name: String, value: Vec<Bytes>, ttl: Option<Duration>) -> Self {
        Self { name, value, ttl }
    }

    /// The name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Length of the value, in bytes.
    pub(super) fn len(&self) -> usize {
        self.value.iter().map(Bytes::len).sum()
    }

    /// The command for the library, in memory of its own.
    pub(super) fn command(&self) -> Cmd {
        let mut command = Cmd::new();
        command.arg("SET").arg(&self.name);
        let mut value = command.writer_for_next_arg();
        self.value.iter().for_each(|bytes| value.write_all(bytes).expect("memory takes all bytes"));
        drop(value);
        if let Some(ttl) = self.ttl {
            command.arg("EX").arg(ttl.as_secs());
        }
        command
    }

    /// The command as the protocol has it, RESP 2: an array of words. The value is not copied.
    pub(super) fn parts(&self) -> Parts {
        let words = if self.ttl.is_some() { 5 } else { 3 };
        let (name, len) = (&self.name, self.len());
        let before = format!("*{words}\r\n$3\r\nSET\r\n${}\r\n{name}\r\n${len}\r\n", name.len());
        let after = self.ttl.map_or_else(String::new, |ttl| {
            let seconds = ttl.as_secs().to_string();
            format!("$2\r\nEX\r\n${}\r\n{seconds}\r\n", seconds.len())
        });
        let parts = [Bytes::from(before)].into_iter().chain(self.value.iter().cloned());
        let parts = parts.chain([Bytes::from(format!("\r\n{after}"))]);
        Parts(parts.filter(|part| !part.is_empty()).collect())
    }
}

/// Bytes in parts, of which several go into the socket at once. None is empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Parts(VecDeque<Bytes>);

impl Buf for Parts {
    fn remaining(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    fn has_remaining(&self) -> bool {
        !self.0.is_empty()
    }

    fn chunk(&self) -> &[u8] {
        self.0.front().map_or(&[], |part| part)
    }

    fn chunks_vectored<'a>(&'a self, into: &mut [IoSlice<'a>]) -> usize {
        let filled = into.iter_mut().zip(&self.0);
        filled.map(|(slice, part)| *slice = IoSlice::new(part)).count()
    }

    fn advance(&mut self, mut count: usize) {
        while count > 0 {
            let first = self.0.front_mut().expect("no more is sent than there is");
            if count < first.len() {
                first.advance(count);
                return;
            }
            count -= first.len();
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ttl: Option<Duration>) -> Set {
        let value = [&b"head"[..], b"", b"two\r\n", b"three"].map(Bytes::from_static).to_vec();
        Set::new("a/name%".to_owned(), value, ttl)
    }

    #[test]
    fn the_parts_are_the_command_of_the_library() {
        for ttl in [None, Some(Duration::from_secs(600))] {
            let mut parts = set(ttl).parts();
            let len = parts.remaining();
            let sent = parts.copy_to_bytes(len);
            assert_eq!(sent, set(ttl).command().get_packed_command());
        }
        assert_eq!(set(None).len(), 14);
    }

    #[test]
    fn parts_are_taken_at_any_place() {
        let whole = set(None).command().get_packed_command();
        for at in 0..=whole.len() {
            let mut parts = set(None).parts();
            parts.advance(at);
            assert_eq!(
                (parts.remaining(), parts.has_remaining()),
                (whole.len() - at, at < whole.len())
            );
            let mut slices = [IoSlice::new(&[]); 64];
            let count = parts.chunks_vectored(&mut slices);
            assert_eq!(
                slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect::<Vec<_>>(),
                whole[at..]
            );
            assert_eq!(parts.chunk().len(), slices[..count].first().map_or(0, |slice| slice.len()));
        }
    }
}
