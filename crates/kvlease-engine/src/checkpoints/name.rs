//! Keys of a namespace's objects.
//!
//! | key | object |
//! |---|---|
//! | `namespace/RANKS/RETAINED` | empty: the namespace and its shape |
//! | `shard/RANK/STEP/ROUND/SEQUENCE/META` | a shard |
//!
//! SEQUENCE rises with every write in the namespace: of two shards of one rank and step the later has
//! the higher. ROUND tells the writes of a step from those that rewrite it: see
//! [`Step`](super::table::Step). META is what the client sent with the bytes, and may be empty.

use std::sync::Arc;

use kvlease_types::Key;

/// The longest description that a client may send with a shard, in bytes. It is part of the key, and so
/// far below the longest one.
pub const SHARD_META_LEN_MAX: usize = 1024;

/// Shape that a namespace was made with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NamespaceShape {
    /// Shards of a step, the one with the metadata included.
    pub num_ranks: u32,
    /// Steps that each rank keeps.
    pub steps_retained: u32,
}

/// Which shard of a namespace is meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ShardPlace {
    /// The rank that wrote it.
    pub rank: u32,
    /// The step of the training.
    pub step: u64,
}

/// Meaning of one key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Record {
    Namespace(NamespaceShape),
    Shard(ShardName),
}

/// Parts of the key of a shard.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct ShardName {
    pub(super) place: ShardPlace,
    pub(super) round: u64,
    pub(super) sequence: u64,
    pub(super) meta: Option<Arc<str>>,
}

impl ShardName {
    pub(super) fn key(&self) -> Key {
        Record::Shard(self.clone()).key()
    }
}

impl Record {
    pub(super) fn key(&self) -> Key {
        let text = match self {
            Self::Namespace(NamespaceShape { num_ranks, steps_retained }) => {
                format!("namespace/{num_ranks}/{steps_retained}")
            }
            Self::Shard(ShardName { place: ShardPlace { rank, step }, round, sequence, meta }) => {
                let meta = meta.as_deref().unwrap_or_default();
                format!("shard/{rank}/{step}/{round}/{sequence}/{meta}")
            }
        };
        Key::new(text).expect("the description has a limit far below that of a key")
    }

    /// `None` if no daemon has stored an object under this key.
    pub(super) fn parse(key: &str) -> Option<Self> {
        // The description may have any characters.
        let mut parts = key.splitn(6, '/');
        match parts.next()? {
            "namespace" => {
                let shape = NamespaceShape {
                    num_ranks: parts.next()?.parse().ok()?,
                    steps_retained: parts.next()?.parse().ok()?,
                };
                parts.next().is_none().then_some(Self::Namespace(shape))
            }
            "shard" => {
                let rank = parts.next()?.parse().ok()?;
                let step = parts.next()?.parse().ok()?;
                let round = parts.next()?.parse().ok()?;
                let sequence = parts.next()?.parse().ok()?;
                let meta = Some(parts.next()?).filter(|meta| !meta.is_empty()).map(Arc::from);
                let place = ShardPlace { rank, step };
                Some(Self::Shard(ShardName { place, round, sequence, meta }))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_parsed_from_its_key_and_from_no_other_text() {
        let shard = |meta: Option<&str>| {
            Record::Shard(ShardName {
                place: ShardPlace { rank: 3, step: u64::MAX },
                round: 1,
                sequence: 20,
                meta: meta.map(Arc::from),
            })
        };
        let shape = NamespaceShape { num_ranks: 3, steps_retained: 2 };
        let long = "m".repeat(SHARD_META_LEN_MAX);
        for record in [
            Record::Namespace(shape),
            shard(None),
            shard(Some(r#"{"checksum": "a/b+c==", "algorithm": "xxh3_128"}"#)),
            shard(Some(&long)),
        ] {
            assert_eq!(Record::parse(record.key().as_str()), Some(record));
        }
        for text in ["namespace/3", "namespace/3/2/1", "namespace/-1/2", "shard/1/2/3/4", "other"] {
            assert_eq!(Record::parse(text), None, "{text}");
        }
    }
}
