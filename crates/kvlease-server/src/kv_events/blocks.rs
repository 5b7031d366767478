//! Blocks that clients tell with their objects: hashes, tokens and parent.

use std::{
    mem::size_of,
    sync::{Arc, Mutex, MutexGuard},
};

use hashbrown::HashMap;
use kvlease_types::ByteSize;
use serde::Deserialize;

use super::hash::BlockHash;

/// Blocks of one object.
#[derive(PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ObjectBlocks {
    /// Hashes of the blocks, in their order.
    pub(crate) hashes: Vec<BlockHash>,
    /// Hash of the block before the first one.
    #[serde(default)]
    pub(crate) parent: Option<BlockHash>,
    /// Tokens of all blocks; none if the engine has announced the blocks.
    #[serde(default)]
    pub(crate) tokens: Vec<u32>,
    /// Tokens of one block; 0 without tokens.
    #[serde(default)]
    pub(crate) block_size: u32,
    /// Name of the adapter that the blocks were computed with.
    #[serde(default)]
    pub(crate) lora_name: Option<String>,
    /// The group of the cache that the blocks belong to, where there are several.
    #[serde(default)]
    pub(crate) group: Option<u32>,
}

impl ObjectBlocks {
    /// Parses what a client sent. The error is for it.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, String> {
        let blocks: Self = serde_json::from_slice(text).map_err(|error| {
            format!("the header of blocks must be one JSON object, see docs/events.md: {error}")
        })?;
        let tokens = blocks.hashes.len().saturating_mul(blocks.block_size as usize);
        if blocks.hashes.is_empty() {
            return Err("the header of blocks must name at least one hash, hashes=`[]`".into());
        }
        if !blocks.tokens.is_empty() && blocks.tokens.len() != tokens {
            return Err(format!(
                "the header of blocks must have block_size tokens for each hash, or none, \
                 tokens=`{}` expected=`{tokens}`",
                blocks.tokens.len()
            ));
        }
        Ok(blocks)
    }

    /// Memory in bytes.
    fn memory(&self) -> usize {
        let bytes = |hash: &BlockHash| match hash {
            BlockHash::Bytes(bytes) => bytes.len(),
            BlockHash::Unsigned(_) | BlockHash::Signed(_) => 0,
        };
        let hashes: usize = self
            .hashes
            .iter()
            .chain(&self.parent)
            .map(|hash| size_of::<BlockHash>() + bytes(hash))
            .sum();
        let lora_name = self.lora_name.as_ref().map_or(0, String::len);
        ENTRY_MEMORY + hashes + 4 * self.tokens.len() + lora_name
    }
}

/// Memory of one entry beside what it refers to.
const ENTRY_MEMORY: usize = size_of::<ObjectBlocks>() + 2 * size_of::<(u64, Entry)>();

/// Blocks of the objects that are there, by generation. Bounded in memory: what does not fit is not
/// announced.
#[derive(Debug)]
pub(crate) struct BlockTable {
    entries: Mutex<Entries>,
    memory_max: usize,
}

#[derive(Default, Debug)]
struct Entries {
    by_generation: HashMap<u64, Entry>,
    memory: usize,
    /// Number of the snapshot that is, or was, taken last.
    round: u64,
}

#[derive(Debug)]
struct Entry {
    blocks: Arc<ObjectBlocks>,
    /// The latest snapshot that the object was known to be in; `None` while it is pending.
    round: Option<u64>,
}

/// Blocks of a pending object. They are forgotten when this is dropped, unless the object was sealed.
#[derive(Debug)]
pub(crate) struct PendingBlocks<'a> {
    table: &'a BlockTable,
    generation: u64,
}

impl BlockTable {
    pub(crate) fn new(memory_max: ByteSize) -> Self {
        let memory_max = usize::try_from(memory_max.bytes()).unwrap_or(usize::MAX);
        Self { entries: Mutex::default(), memory_max }
    }

    /// Notes the blocks of a pending object. `None` if there is no memory for them.
    pub(crate) fn note(&self, generation: u64, blocks: ObjectBlocks) -> Option<PendingBlocks<'_>> {
        let mut entries = self.lock();
        let memory = entries.memory + blocks.memory();
        if memory > self.memory_max {
            return None;
        }
        entries.memory = memory;
        let entry = Entry { blocks: Arc::new(blocks), round: None };
        entries.by_generation.insert(generation, entry);
        Some(PendingBlocks { table: self, generation })
    }

    /// Blocks of an object.
    pub(super) fn get(&self, generation: u64) -> Option<Arc<ObjectBlocks>> {
        self.lock().by_generation.get(&generation).map(|entry| Arc::clone(&entry.blocks))
    }

    /// Blocks of an object that has left. They are forgotten.
    pub(super) fn take(&self, generation: u64) -> Option<Arc<ObjectBlocks>> {
        self.lock().remove(generation)
    }

    /// Begins a snapshot, which finds out which objects are there.
    pub(super) fn begin_snapshot(&self) {
        self.lock().round += 1;
    }

    /// Blocks of an object that is in the snapshot.
    pub(super) fn see(&self, generation: u64) -> Option<Arc<ObjectBlocks>> {
        let entries = &mut *self.lock();
        let entry = entries.by_generation.get_mut(&generation)?;
        entry.round = Some(entries.round);
        Some(Arc::clone(&entry.blocks))
    }

    /// Ends a snapshot: forgets the blocks of objects that left before it.
    pub(super) fn end_snapshot(&self) {
        let mut entries = self.lock();
        let round = entries.round;
        let stale = |entry: &Entry| entry.round.is_some_and(|seen| seen < round);
        let by_generation = entries.by_generation.iter();
        let gone: Vec<u64> = by_generation.filter(|(_, e)| stale(e)).map(|(n, _)| *n).collect();
        for generation in gone {
            entries.remove(generation);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().expect("a panic ends the process, so no thread meets a poisoned lock")
    }
}

impl Entries {
    fn remove(&mut self, generation: u64) -> Option<Arc<ObjectBlocks>> {
        let entry = self.by_generation.remove(&generation)?;
        self.memory -= entry.blocks.memory();
        Some(entry.blocks)
    }
}

impl PendingBlocks<'_> {
    /// Keeps the blocks: the object was sealed.
    pub(crate) fn keep(self) {
        {
            let entries = &mut *self.table.lock();
            // An object may have left already.
            if let Some(entry) = entries.by_generation.get_mut(&self.generation) {
                entry.round = Some(entries.round);
            }
        }
        std::mem::forget(self);
    }
}

impl Drop for PendingBlocks<'_> {
    fn drop(&mut self) {
        self.table.take(self.generation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(text: &str) -> ObjectBlocks {
        ObjectBlocks::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn blocks_have_hashes_and_tokens_for_each_or_none() {
        let full = r#"{"hashes": [1, -2, "00ff"], "parent": 18446744073709551615,
            "tokens": [1, 2, 3, 4, 5, 6], "block_size": 2, "lora_name": "a", "group": 1}"#;
        let parsed = blocks(full);
        let expected =
            vec![BlockHash::Unsigned(1), BlockHash::Signed(-2), BlockHash::Bytes(vec![0, 0xff])];
        assert_eq!(parsed.hashes, expected);
        assert_eq!(parsed.parent, Some(BlockHash::Unsigned(u64::MAX)));
        assert_eq!(blocks(r#"{"hashes": [1]}"#).tokens, [0; 0]);
        for (text, part) in [
            ("", "one JSON object"),
            ("[]", "one JSON object"),
            (r#"{"hashes": []}"#, "at least one hash"),
            (r#"{"hashes": ["0"]}"#, "a hash is an integer"),
            (r#"{"hashes": [1.5]}"#, "a hash is an integer"),
            (r#"{"hashes": [1], "token_ids": []}"#, "unknown field"),
            (r#"{"hashes": [1], "tokens": [1, 2], "block_size": 1}"#, "expected=`1`"),
        ] {
            let error = ObjectBlocks::parse(text.as_bytes()).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn blocks_are_forgotten_with_their_objects() {
        let table = BlockTable::new(ByteSize::kib(1));
        drop(table.note(1, blocks(r#"{"hashes": [1]}"#)).unwrap());
        assert_eq!(table.get(1), None, "it was not sealed");
        table.note(2, blocks(r#"{"hashes": [2]}"#)).unwrap().keep();
        assert_eq!(table.get(2).unwrap().hashes, [BlockHash::Unsigned(2)]);
        assert!(table.take(2).is_some() && table.get(2).is_none());
        assert_eq!(table.lock().memory, 0);
    }

    #[test]
    fn what_does_not_fit_is_not_noted() {
        let table = BlockTable::new(ByteSize::kib(1));
        let mut noted = 0;
        while let Some(pending) = table.note(noted, blocks(r#"{"hashes": [1]}"#)) {
            pending.keep();
            noted += 1;
        }
        assert!((1..20).contains(&noted), "{noted}");
        table.take(0);
        assert!(table.note(100, blocks(r#"{"hashes": [1]}"#)).is_some());
    }

    #[test]
    fn a_snapshot_forgets_what_left_unseen() {
        let table = BlockTable::new(ByteSize::mib(1));
        table.note(1, blocks(r#"{"hashes": [1]}"#)).unwrap().keep();
        table.note(2, blocks(r#"{"hashes": [2]}"#)).unwrap().keep();
        let pending = table.note(3, blocks(r#"{"hashes": [3]}"#)).unwrap();
        table.begin_snapshot();
        assert!(table.see(2).is_some() && table.see(9).is_none());
        table.note(4, blocks(r#"{"hashes": [4]}"#)).unwrap().keep();
        table.end_snapshot();
        let there: Vec<_> = (1..=4).filter(|n| table.get(*n).is_some()).collect();
        assert_eq!(there, [2, 3, 4], "1 left unseen; 3 is pending, 4 came meanwhile");
        pending.keep();
    }
}
