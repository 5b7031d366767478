//! Block hashes, and those that keys of engines have in them.

use serde::Deserialize;

/// Hash of a block, as its engine publishes it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "a hash is an integer of 64 bits, or a string of hexadecimal digits for bytes"
)]
pub(crate) enum BlockHash {
    /// vLLM's integers, which have no sign.
    Unsigned(u64),
    /// SGLang's integers, which have one.
    Signed(i64),
    /// Bytes, written in hexadecimal digits.
    #[serde(deserialize_with = "of_hex")]
    Bytes(Vec<u8>),
}

/// The longest hash in bytes.
const HASH_LEN_MAX: usize = 64;

/// Block of a key, as far as the key tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct NamedBlock {
    pub(crate) hash: BlockHash,
    /// The group of the cache that the block belongs to, where there are several.
    pub(crate) group: Option<u32>,
    /// Whether the object's coming is the block's. Of a block that is several objects only the first one's
    /// is; the block goes with any of them.
    pub(crate) announces: bool,
}

impl NamedBlock {
    const fn whole(hash: BlockHash) -> Self {
        Self { hash, group: None, announces: true }
    }

    /// The block of a key; `None` if the key has no form that is known.
    pub(crate) fn of_key(key: &str) -> Option<Self> {
        let parts: Vec<&str> = key.split('@').collect();
        match parts[..] {
            ["vllm", _, digest, name] if is_digest(digest) => of_vllm(name),
            ["sglang", _, digests, name] if digests.split('-').all(is_digest) => of_sglang(name),
            [_, rank, group, hash] | [_, rank, group, hash, _] if rank.len() == 8 => {
                of_lmcache_server(rank, group, hash)
            }
            [_, world_size, worker, hash, _dtype, ref rest @ ..] => {
                of_lmcache(world_size, worker, hash, rest.first().copied())
            }
            _ => None,
        }
    }
}

/// Digits of the digest in names of kvlease's own classes for engines.
const DIGEST_DIGITS: usize = 16;

fn is_digest(text: &str) -> bool {
    text.len() == DIGEST_DIGITS && is_hex(text)
}

/// `vllm@MODEL@DIGEST@HASH` and the group in eight digits. vLLM's integers are the last eight bytes of
/// the hash.
fn of_vllm(name: &str) -> Option<NamedBlock> {
    let (hash, group) = name.split_at_checked(name.len().checked_sub(8)?)?;
    let last = hash.get(hash.len().checked_sub(16)?..)?;
    let group = number(group, 16).and_then(|group| u32::try_from(group).ok())?;
    let hash = BlockHash::Unsigned(number(last, 16)?);
    Some(NamedBlock { group: Some(group), ..NamedBlock::whole(hash) })
}

/// `sglang@MODEL@ENGINE-DIGEST@HASH`, without the engine's digest in names of earlier releases. SGLang's integers are the first eight bytes of the hash, with a sign.
fn of_sglang(name: &str) -> Option<NamedBlock> {
    let first = number(name.get(..16)?, 16).filter(|_| name.len() == 64 && is_hex(name))?;
    Some(NamedBlock::whole(BlockHash::Signed(first.cast_signed())))
}

/// `MODEL@WORLD_SIZE@WORKER@HASH@DTYPE…` of LMCache in the engine's process; layer-wise with the number
/// of a layer behind it. LMCache publishes its integer hashes as they are, and others as bytes.
fn of_lmcache(
    world_size: &str,
    worker: &str,
    hash: &str,
    layer: Option<&str>,
) -> Option<NamedBlock> {
    number(world_size, 10)?;
    let layer = layer.and_then(|layer| number(layer, 10)).unwrap_or(0);
    let announces = number(worker, 10)? == 0 && layer == 0;
    Some(NamedBlock { announces, ..NamedBlock::whole(of_digits(hash)?) })
}

/// `MODEL@RANK@GROUP@HASH` of LMCache's server, maybe with a salt behind it. The second byte of the rank
/// is that of the worker among all.
fn of_lmcache_server(rank: &str, group: &str, hash: &str) -> Option<NamedBlock> {
    let rank = number(rank, 16)?;
    let group = number(group, 16).and_then(|group| u32::try_from(group).ok())?;
    let announces = (rank >> 16) & 0xff == 0;
    let group = (group > 0).then_some(group);
    Some(NamedBlock { group, announces, ..NamedBlock::whole(BlockHash::Bytes(bytes(hash)?)) })
}

/// A hash as Python formats it in hexadecimal digits: an integer, maybe a negative one, or bytes.
fn of_digits(text: &str) -> Option<BlockHash> {
    let (digits, is_negative) = match text.strip_prefix('-') {
        Some(digits) => (digits, true),
        None => (text, false),
    };
    match number(digits, 16) {
        Some(number) if !is_negative => Some(BlockHash::Unsigned(number)),
        Some(number) => i64::try_from(-i128::from(number)).ok().map(BlockHash::Signed),
        None if !is_negative => bytes(digits).map(BlockHash::Bytes),
        None => None,
    }
}

fn number(digits: &str, radix: u32) -> Option<u64> {
    // `from_str_radix` takes a sign.
    digits.bytes().next().filter(u8::is_ascii_hexdigit)?;
    u64::from_str_radix(digits, radix).ok()
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn bytes(digits: &str) -> Option<Vec<u8>> {
    let fits = digits.len().is_multiple_of(2) && (2..=2 * HASH_LEN_MAX).contains(&digits.len());
    if !fits || !is_hex(digits) {
        return None;
    }
    let pairs = (0..digits.len()).step_by(2);
    pairs.map(|at| u8::from_str_radix(&digits[at..at + 2], 16).ok()).collect()
}

fn of_hex<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let digits = String::deserialize(deserializer)?;
    bytes(&digits).ok_or_else(|| {
        let text = "a hash is an integer of 64 bits, or an even number of hexadecimal digits";
        serde::de::Error::custom(text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA: &str = "8f0e0d0c0b0a09080706050403020100f0e1d2c3b4a5968778695a4b3c2d1e0f";

    fn named(key: &str) -> NamedBlock {
        NamedBlock::of_key(key).unwrap_or_else(|| panic!("{key} has a block"))
    }

    #[test]
    fn keys_of_kvleases_own_classes_have_the_integers_of_their_engines() {
        let block = named(&format!("vllm@Llama@0123456789abcdef@{SHA}00000002"));
        assert_eq!(block.hash, BlockHash::Unsigned(0x7869_5a4b_3c2d_1e0f));
        assert_eq!((block.group, block.announces), (Some(2), true));
        for digests in ["0123456789abcdef-fedcba9876543210", "0123456789abcdef"] {
            let block = named(&format!("sglang@Llama@{digests}@{SHA}"));
            assert_eq!(block.hash, BlockHash::Signed(0x8f0e_0d0c_0b0a_0908_u64.cast_signed()));
            assert_eq!((block.group, block.announces), (None, true));
        }
    }

    #[test]
    fn keys_of_lmcache_have_the_hash_that_lmcache_publishes() {
        for (key, hash, announces) in [
            ("org/m@1@0@7f@half", BlockHash::Unsigned(0x7f), true),
            ("org/m@2@1@7f@half", BlockHash::Unsigned(0x7f), false),
            ("org/m@1@0@-7f@half", BlockHash::Signed(-0x7f), true),
            ("org/m@1@0@-8000000000000000@half", BlockHash::Signed(i64::MIN), true),
            ("org/m@1@0@ffffffffffffffff@half@tag%x", BlockHash::Unsigned(u64::MAX), true),
            ("org/m@1@0@7f@half@0", BlockHash::Unsigned(0x7f), true),
            ("org/m@1@0@7f@half@3", BlockHash::Unsigned(0x7f), false),
        ] {
            assert_eq!((named(key).hash, named(key).announces), (hash, announces), "{key}");
        }
        let sha = BlockHash::Bytes(bytes(SHA).unwrap());
        assert_eq!(named(&format!("m@1@0@{SHA}@bfloat16")).hash, sha);
        for (key, group, announces) in [
            (format!("m@02000200@0@{SHA}"), None, true),
            (format!("m@02010201@0@{SHA}@salt"), None, false),
            (format!("m@02000200@a@{SHA}"), Some(10), true),
        ] {
            let block = named(&key);
            assert_eq!((block.hash, block.group, block.announces), (sha.clone(), group, announces));
        }
    }

    #[test]
    fn other_keys_have_no_block() {
        for key in [
            "",
            "k",
            "a@b@c",
            "a@b@c@d@e",
            "m@1@0@xyz@half",
            "m@1@0@+7f@half",
            "m@1@-0@7f@half",
            "vllm@m@0123456789abcdef@00",
            "sglang@m@0123456789abcdef@0011",
            "m@zzzzzzzz@0@00",
            "m@1@0@-10000000000000000@half",
        ] {
            assert_eq!(NamedBlock::of_key(key), None, "{key}");
        }
    }
}
