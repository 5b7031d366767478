//! Header of a shard's file: the first block, behind which the bytes of the shard lie.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | `KVLSHARD` |
//! | 8 | 4 | version of the format, 1 |
//! | 12 | 4 | ranks of the namespace |
//! | 16 | 4 | steps that it retains |
//! | 20 | 8 | length of the shard |
//! | 28 | 8 | XXH3-64 of the shard's bytes |
//! | 36 | 2 | length of the bucket's name |
//! | 38 | 2 | length of the key |
//! | 40 | | name of the bucket, key, zeros |
//! | 4088 | 8 | XXH3-64 of all bytes before |
//!
//! Numbers are little-endian.

use kvlease_sys::Digest;
use kvlease_types::{BucketName, ByteSize, Checksum, Key};

use super::super::name::{NamespaceShape, Record, ShardName};

/// Length of the header.
pub(in super::super) const HEADER_LEN: u64 = 4 << 10;

const MAGIC: &[u8; 8] = b"KVLSHARD";
const VERSION: u32 = 1;
const NAMES_AT: usize = 40;
const SUM_AT: usize = HEADER_LEN as usize - 8;

/// Header of a shard's file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in super::super) struct Header {
    pub(in super::super) bucket: BucketName,
    pub(in super::super) shape: NamespaceShape,
    pub(in super::super) name: ShardName,
    pub(in super::super) len: ByteSize,
    pub(in super::super) checksum: Checksum,
}

impl Header {
    pub(super) fn encode(&self) -> Vec<u8> {
        let key = Record::Shard(self.name.clone()).key();
        let (bucket, key) = (self.bucket.as_str(), key.as_str());
        let short = |len: usize| u16::try_from(len).expect("names have limits far below");
        let mut block = Vec::with_capacity(HEADER_LEN as usize);
        block.extend_from_slice(MAGIC);
        for number in [VERSION, self.shape.num_ranks, self.shape.steps_retained] {
            block.extend_from_slice(&number.to_le_bytes());
        }
        for number in [self.len.bytes(), self.checksum.xxh3_64()] {
            block.extend_from_slice(&number.to_le_bytes());
        }
        for len in [bucket.len(), key.len()] {
            block.extend_from_slice(&short(len).to_le_bytes());
        }
        block.extend_from_slice(bucket.as_bytes());
        block.extend_from_slice(key.as_bytes());
        assert!(block.len() <= SUM_AT, "names have limits far below a block");
        block.resize(SUM_AT, 0);
        let sum = Digest::of(&block);
        block.extend_from_slice(&sum.xxh3_64().to_le_bytes());
        block
    }

    /// `None` if this is no header, or not one of this version.
    pub(super) fn decode(block: &[u8]) -> Option<Self> {
        if block.len() != HEADER_LEN as usize || !block.starts_with(MAGIC) {
            return None;
        }
        let (body, sum) = block.split_at(SUM_AT);
        if sum != Digest::of(body).xxh3_64().to_le_bytes() || number32(body, 8)? != VERSION {
            return None;
        }
        let shape =
            NamespaceShape { num_ranks: number32(body, 12)?, steps_retained: number32(body, 16)? };
        let bucket_end = NAMES_AT + usize::from(number16(body, 36)?);
        let key_end = bucket_end + usize::from(number16(body, 38)?);
        let text = |range| std::str::from_utf8(body.get(range)?).ok();
        let bucket = BucketName::restored(text(NAMES_AT..bucket_end)?).ok()?;
        let key = Key::new(text(bucket_end..key_end)?).ok()?;
        let Record::Shard(name) = Record::parse(key.as_str())? else { return None };
        let (len, checksum) = (number64(body, 20)?, number64(body, 28)?);
        let (len, checksum) = (ByteSize::new(len), Checksum::new(checksum));
        bucket.is_retained().then_some(Self { bucket, shape, name, len, checksum })
    }
}

fn number16(block: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*block.get(at..)?.first_chunk()?))
}

fn number32(block: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*block.get(at..)?.first_chunk()?))
}

fn number64(block: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*block.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::{super::super::name::SHARD_META_LEN_MAX, *};
    use crate::checkpoints::name::ShardPlace;

    fn header(namespace: &str, meta: &str) -> Header {
        Header {
            bucket: BucketName::retained(namespace).unwrap(),
            shape: NamespaceShape { num_ranks: u32::MAX, steps_retained: 2 },
            name: ShardName {
                place: ShardPlace { rank: u32::MAX, step: u64::MAX },
                round: u64::MAX,
                sequence: u64::MAX,
                meta: Some(meta.into()),
            },
            len: ByteSize::new(u64::MAX),
            checksum: Checksum::new(7),
        }
    }

    #[test]
    fn a_header_has_room_for_the_longest_names_and_shows_each_changed_byte() {
        let longest = header(&"n".repeat(236), &"m".repeat(SHARD_META_LEN_MAX));
        for header in [header("job", "a/b"), longest] {
            let block = header.encode();
            assert_eq!(block.len() as u64, HEADER_LEN);
            assert_eq!(Header::decode(&block), Some(header));
            for at in 0..block.len() {
                let mut changed = block.clone();
                changed[at] ^= 1;
                assert_eq!(Header::decode(&changed), None, "{at}");
            }
        }
        assert_eq!(Header::decode(&[0; HEADER_LEN as usize]), None);
        assert_eq!(Header::decode(MAGIC), None);
    }
}
