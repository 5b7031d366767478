//! Command that fetches a value.

use redis::Cmd;

use crate::chunks::Chunks;

/// Command that fetches the start of a value, and the memory that a large one comes into.
#[derive(Clone, Debug)]
pub(super) struct Fetch {
    name: String,
    len: usize,
    chunks: Chunks,
}

impl Fetch {
    /// The command for at most the first `len` bytes, of which there is one at least.
    pub(super) fn new(name: &str, len: usize, chunks: &Chunks) -> Self {
        Self { name: name.to_owned(), len: len.max(1), chunks: chunks.clone() }
    }

    /// The name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The most bytes that come.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Memory for the value.
    pub(super) fn chunks(&self) -> &Chunks {
        &self.chunks
    }

    /// The command for the library.
    pub(super) fn command(&self) -> Cmd {
        let mut command = Cmd::new();
        command.arg("GETRANGE").arg(&self.name).arg(0).arg(self.len - 1);
        command
    }
}
