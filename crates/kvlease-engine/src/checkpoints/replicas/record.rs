//! Record of a replica, and the keys of its objects.

use std::sync::Arc;

use kvlease_types::{ByteSize, Checksum, Key};

use super::super::name::{Record, ShardName};

/// Length of a part: of all but the last.
pub(super) const PART_LEN: u64 = 16 << 20;

const TITLE: &str = "kvlease shard 1";

/// Description of a replica, the content of its record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct ReplicaRecord {
    pub(super) len: ByteSize,
    pub(super) checksum: Checksum,
    pub(super) part_len: u64,
    /// Its client's description of the bytes.
    pub(super) meta: Option<Arc<str>>,
}

/// Key of the record. Keys of stores are shorter than a client's description may be, so it has none.
pub(super) fn record_key(name: &ShardName) -> Key {
    Record::Shard(ShardName { meta: None, ..name.clone() }).key()
}

/// Beginning of the keys of all parts of a shard.
pub(super) fn parts_prefix(name: &ShardName) -> String {
    let key = record_key(name);
    let rest = key.as_str().strip_prefix("shard/").expect("it is the key of a shard");
    format!("part/{rest}")
}

/// Key of one part.
pub(super) fn part_key(name: &ShardName, number: u64) -> Key {
    Key::new(format!("{}{number}", parts_prefix(name))).expect("numbers are short")
}

impl ReplicaRecord {
    pub(super) fn encode(&self) -> Vec<u8> {
        let Self { len, checksum, part_len, meta } = self;
        let (len, checksum) = (len.bytes(), checksum.xxh3_64());
        let meta = meta.as_deref().unwrap_or_default();
        format!("{TITLE}\n{len}\n{checksum}\n{part_len}\n{meta}").into_bytes()
    }

    /// `None` if no daemon of this format stored it.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(bytes).ok()?.splitn(5, '\n');
        if lines.next()? != TITLE {
            return None;
        }
        let len = ByteSize::new(lines.next()?.parse().ok()?);
        let checksum = Checksum::new(lines.next()?.parse().ok()?);
        let part_len = lines.next()?.parse().ok().filter(|len| *len > 0)?;
        let meta = Some(lines.next()?).filter(|meta| !meta.is_empty()).map(Arc::from);
        Some(Self { len, checksum, part_len, meta })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoints::name::ShardPlace;

    #[test]
    fn a_record_is_decoded_from_its_bytes_and_its_keys_have_no_description() {
        for meta in [None, Some("a/b {}".into())] {
            let (len, checksum) = (ByteSize::new(7), Checksum::new(u64::MAX));
            let record = ReplicaRecord { len, checksum, part_len: PART_LEN, meta };
            assert_eq!(ReplicaRecord::decode(&record.encode()), Some(record));
        }
        for bytes in ["", "kvlease shard 2\n1\n1\n1\n", "kvlease shard 1\n1\n1\n0\n"] {
            assert_eq!(ReplicaRecord::decode(bytes.as_bytes()), None, "{bytes}");
        }
        let place = ShardPlace { rank: 1, step: 2 };
        let name = ShardName { place, round: 3, sequence: 4, meta: Some("m".into()) };
        assert_eq!(record_key(&name).as_str(), "shard/1/2/3/4/");
        assert_eq!(part_key(&name, 5).as_str(), "part/1/2/3/4/5");
    }
}
