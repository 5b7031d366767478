//! Batches of KV events, and their bytes in msgpack.
//!
//! The form is vLLM's of 0.32 and later: an array of time, events and data-parallel rank; each event is a
//! map with its type and its fields. [`Format::Arrays`] is the form of before, an array for each event.

use std::sync::Arc;

use kvlease_types::Epoch;
use rmp::encode::{
    RmpWrite, write_array_len, write_bin, write_f64, write_map_len, write_nil, write_sint,
    write_str, write_uint,
};

use super::{
    blocks::ObjectBlocks,
    hash::{BlockHash, NamedBlock},
};
use crate::config::EventsFormat as Format;

/// Medium of the arena, by vLLM's names.
const MEDIUM: &str = "CPU";

/// Where the arena is, from the engines' point of view.
const LOCALITY: &str = "LOCAL";

/// Name of the tier.
const OWNERSHIP: &str = "kvlease";

const IN_MEMORY: &str = "writing to memory does not fail";

/// Blocks of an object, as far as they are known.
#[derive(Clone, Debug)]
pub(super) enum Blocks {
    /// The client told them.
    Told(Arc<ObjectBlocks>),
    /// The key has the hash.
    Named(NamedBlock),
}

/// One KV event.
#[derive(Clone, PartialEq, Eq, Debug)]
enum KvEvent {
    Stored(Arc<ObjectBlocks>),
    /// Blocks whose tokens an engine has announced.
    StoredNames(Vec<BlockHash>, Option<u32>),
    Removed(Vec<BlockHash>, Option<u32>),
    Cleared(&'static str),
}

/// Events that leave in one message.
#[derive(Default, Debug)]
pub(super) struct Batch(Vec<KvEvent>);

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Appends that blocks have come.
    pub(super) fn store(&mut self, blocks: Blocks) {
        match blocks {
            Blocks::Told(blocks) => self.0.push(KvEvent::Stored(blocks)),
            Blocks::Named(block) if !block.announces => {}
            Blocks::Named(block) => match self.0.last_mut() {
                Some(KvEvent::StoredNames(hashes, group)) if *group == block.group => {
                    hashes.push(block.hash);
                }
                _ => self.0.push(KvEvent::StoredNames(vec![block.hash], block.group)),
            },
        }
    }

    /// Appends that blocks have left.
    pub(super) fn remove(&mut self, blocks: Blocks) {
        let (gone, of_group) = match blocks {
            Blocks::Told(blocks) => (blocks.hashes.clone(), blocks.group),
            Blocks::Named(block) => (vec![block.hash], block.group),
        };
        match self.0.last_mut() {
            Some(KvEvent::Removed(hashes, group)) if *group == of_group => hashes.extend(gone),
            _ => self.0.push(KvEvent::Removed(gone, of_group)),
        }
    }

    /// Appends that all that was announced is to be forgotten.
    pub(super) fn clear(&mut self, reason: &'static str) {
        self.0.push(KvEvent::Cleared(reason));
    }

    /// The bytes. `time` is in seconds since 1970.
    pub(super) fn encode(&self, time: f64, epoch: Epoch, format: Format) -> Vec<u8> {
        let mut out = Vec::new();
        write_array_len(&mut out, 3).expect(IN_MEMORY);
        write_f64(&mut out, time).expect(IN_MEMORY);
        write_array_len(&mut out, count(&self.0)).expect(IN_MEMORY);
        for event in &self.0 {
            match format {
                Format::Maps => write_map(&mut out, event, epoch),
                Format::Arrays => write_array(&mut out, event),
            }
        }
        nil(&mut out);
        out
    }
}

fn write_map(out: &mut Vec<u8>, event: &KvEvent, epoch: Epoch) {
    let (name, group) = name_and_group(event);
    let fields = match event {
        KvEvent::Stored(_) | KvEvent::StoredNames(..) => 10,
        KvEvent::Removed(..) => 5,
        KvEvent::Cleared(_) => 4,
    };
    write_map_len(out, fields + u32::from(group.is_some())).expect(IN_MEMORY);
    field(out, "type");
    text(out, name);
    match event {
        KvEvent::Stored(_) | KvEvent::StoredNames(..) => {
            let stored = Stored::of(event);
            field(out, "block_hashes");
            hashes(out, stored.hashes);
            field(out, "parent_block_hash");
            parent(out, stored.parent);
            field(out, "token_ids");
            tokens(out, stored.tokens);
            field(out, "block_size");
            write_uint(out, stored.block_size.into()).expect(IN_MEMORY);
            field(out, "lora_id");
            nil(out);
            field(out, "medium");
            text(out, MEDIUM);
            // vLLM's classes refuse a batch without it.
            field(out, "lora_name");
            optional(out, stored.lora_name);
        }
        KvEvent::Removed(removed, _) => {
            field(out, "block_hashes");
            hashes(out, removed);
            field(out, "medium");
            text(out, MEDIUM);
        }
        KvEvent::Cleared(reason) => {
            field(out, "epoch");
            text(out, &epoch.to_string());
            field(out, "reason");
            text(out, reason);
        }
    }
    if let Some(group) = group {
        field(out, "group_idx");
        write_uint(out, group.into()).expect(IN_MEMORY);
    }
    if !matches!(event, KvEvent::Cleared(_)) {
        field(out, "locality");
        text(out, LOCALITY);
    }
    field(out, "ownership");
    text(out, OWNERSHIP);
}

/// The event as vLLM wrote it before June 2026: without group, locality and ownership.
fn write_array(out: &mut Vec<u8>, event: &KvEvent) {
    let (name, _) = name_and_group(event);
    let fields = match event {
        KvEvent::Stored(_) | KvEvent::StoredNames(..) => 8,
        KvEvent::Removed(..) => 3,
        KvEvent::Cleared(_) => 1,
    };
    write_array_len(out, fields).expect(IN_MEMORY);
    text(out, name);
    match event {
        KvEvent::Stored(_) | KvEvent::StoredNames(..) => {
            let stored = Stored::of(event);
            hashes(out, stored.hashes);
            parent(out, stored.parent);
            tokens(out, stored.tokens);
            write_uint(out, stored.block_size.into()).expect(IN_MEMORY);
            nil(out);
            text(out, MEDIUM);
            optional(out, stored.lora_name);
        }
        KvEvent::Removed(removed, _) => {
            hashes(out, removed);
            text(out, MEDIUM);
        }
        KvEvent::Cleared(_) => {}
    }
}

/// Fields of blocks that have come.
struct Stored<'a> {
    hashes: &'a [BlockHash],
    parent: Option<&'a BlockHash>,
    tokens: &'a [u32],
    block_size: u32,
    lora_name: Option<&'a str>,
}

impl<'a> Stored<'a> {
    fn of(event: &'a KvEvent) -> Self {
        match event {
            KvEvent::Stored(blocks) => Self {
                hashes: &blocks.hashes,
                parent: blocks.parent.as_ref(),
                tokens: &blocks.tokens,
                block_size: blocks.block_size,
                lora_name: blocks.lora_name.as_deref(),
            },
            KvEvent::StoredNames(hashes, _) => {
                Self { hashes, parent: None, tokens: &[], block_size: 0, lora_name: None }
            }
            KvEvent::Removed(..) | KvEvent::Cleared(_) => unreachable!("nothing has come"),
        }
    }
}

fn name_and_group(event: &KvEvent) -> (&'static str, Option<u32>) {
    match event {
        KvEvent::Stored(blocks) => ("BlockStored", blocks.group),
        KvEvent::StoredNames(_, group) => ("BlockStored", *group),
        KvEvent::Removed(_, group) => ("BlockRemoved", *group),
        KvEvent::Cleared(_) => ("AllBlocksCleared", None),
    }
}

fn hashes(out: &mut Vec<u8>, hashes: &[BlockHash]) {
    write_array_len(out, count(hashes)).expect(IN_MEMORY);
    hashes.iter().for_each(|found| hash(out, found));
}

fn hash(out: &mut Vec<u8>, hash: &BlockHash) {
    match hash {
        BlockHash::Unsigned(number) => drop(write_uint(out, *number).expect(IN_MEMORY)),
        BlockHash::Signed(number) => drop(write_sint(out, *number).expect(IN_MEMORY)),
        BlockHash::Bytes(bytes) => write_bin(out, bytes).expect(IN_MEMORY),
    }
}

fn parent(out: &mut Vec<u8>, parent: Option<&BlockHash>) {
    match parent {
        Some(parent) => hash(out, parent),
        None => nil(out),
    }
}

fn tokens(out: &mut Vec<u8>, tokens: &[u32]) {
    write_array_len(out, count(tokens)).expect(IN_MEMORY);
    for token in tokens {
        write_uint(out, (*token).into()).expect(IN_MEMORY);
    }
}

fn field(out: &mut Vec<u8>, name: &str) {
    text(out, name);
}

fn text(out: &mut Vec<u8>, text: &str) {
    write_str(out, text).expect(IN_MEMORY);
}

fn optional(out: &mut Vec<u8>, found: Option<&str>) {
    match found {
        Some(found) => text(out, found),
        None => nil(out),
    }
}

fn nil(out: &mut impl RmpWrite) {
    assert!(write_nil(out).is_ok(), "{IN_MEMORY}");
}

fn count<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).expect("a batch is far smaller")
}
