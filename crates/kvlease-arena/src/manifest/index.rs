//! Manifest of the running daemon.

use std::sync::Arc;

use kvlease_types::SealedObject;

use super::{
    entry::{self, SUMMED_LEN},
    file::ManifestFile,
    layout::CELL_ROOM,
};

/// Manifest of the running daemon: its objects by the slots of its catalog.
#[derive(Debug)]
pub struct Manifest {
    file: Arc<ManifestFile>,
    /// First cell of each slot's object; 0 for none.
    heads: Vec<u32>,
    /// Cells that were used and are free.
    free: Vec<u32>,
    /// Entry being written. Kept, so that an insertion allocates no memory.
    buffer: Vec<u8>,
    /// Cells of the entry being written, kept likewise.
    chain: Vec<u32>,
}

impl Manifest {
    pub(crate) fn new(file: ManifestFile) -> Self {
        let (heads, free, chain, buffer) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { file: Arc::new(file), heads, free, buffer, chain }
    }

    /// The file behind it, whose memory has to be reserved ahead.
    pub fn file(&self) -> &Arc<ManifestFile> {
        &self.file
    }

    /// Inserts the object that was sealed in `slot`. Returns false if there is no memory for it:
    /// then a restarted daemon will not know the object.
    pub fn insert(&mut self, slot: u32, object: &SealedObject<'_>) -> bool {
        self.delete(slot);
        // The entry, behind the room for the fields that are only summed.
        self.buffer.clear();
        self.buffer.resize(SUMMED_LEN, 0);
        entry::encode(object, &mut self.buffer);
        // All of its cells, or none.
        self.chain.clear();
        for _ in 0..(self.buffer.len() - SUMMED_LEN).div_ceil(CELL_ROOM) {
            match self.take_cell() {
                Some(cell) => self.chain.push(cell),
                None => {
                    self.free.append(&mut self.chain);
                    return false;
                }
            }
        }
        self.file.cells().write(&self.chain, &mut self.buffer);
        // The slot finds its entry again.
        let slot = slot as usize;
        if self.heads.len() <= slot {
            self.heads.resize(slot + 1, 0);
        }
        self.heads[slot] = self.chain[0];
        true
    }

    /// Deletes the object of `slot`, if it has one.
    pub fn delete(&mut self, slot: u32) {
        let Some(head) = self.heads.get_mut(slot as usize).filter(|head| **head != 0) else {
            return;
        };
        let head = std::mem::take(head);
        self.file.cells().delete(head, &mut self.free);
    }

    fn take_cell(&mut self) -> Option<u32> {
        self.free.pop().or_else(|| self.file.take())
    }
}
