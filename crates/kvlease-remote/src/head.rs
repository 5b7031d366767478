//! Head of a stored value: what the object is, ahead of its bytes.
//!
//! | bytes | field |
//! |---|---|
//! | 0..8 | magic, `kvlobj\r\n` |
//! | 8..10 | version of the format, 1 |
//! | 10..12 | length of the bucket's name, B |
//! | 12..14 | length of the key, K |
//! | 14..16 | zero |
//! | 16..24 | length of the object |
//! | 24..32 | checksum of the object, XXH3-64 |
//! | 32..40 | length of a piece; 0 if the bytes follow the name |
//! | 40..48 | XXH3-64 of the name: bucket and key, one behind the other |
//! | 48..56 | zero |
//! | 56..64 | XXH3-64 of bytes 0..56 |
//! | 64..64 + B + K | the name: bucket, then key, in UTF-8 |
//!
//! Numbers are little-endian. The bytes of the object follow the name, or are in pieces.

use kvlease_sys::Digest;
use kvlease_tier::{Name, Stat};
use kvlease_types::{BUCKET_LEN_MAX, BucketName, ByteSize, Checksum, KEY_LEN_MAX, Key};

/// Length of a head without the name.
pub(crate) const HEADER_LEN: usize = 64;

/// The longest head.
pub(crate) const HEAD_LEN_MAX: usize = HEADER_LEN + BUCKET_LEN_MAX + KEY_LEN_MAX;

const MAGIC: [u8; 8] = *b"kvlobj\r\n";
const VERSION: u16 = 1;
const SUMMED: usize = 56;

/// Head of a value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Head {
    pub(crate) name: Name,
    pub(crate) stat: Stat,
    /// Length of a piece; 0 if the bytes follow.
    pub(crate) piece_len: u64,
}

/// Length of the head of an object with this name.
pub(crate) fn head_len(bucket: &str, key: &str) -> usize {
    HEADER_LEN + bucket.len() + key.len()
}

impl Head {
    /// The bytes of the head.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (bucket, key) = (self.name.bucket.as_str(), self.name.key.as_str());
        let mut head = vec![0; HEADER_LEN];
        head.extend_from_slice(bucket.as_bytes());
        head.extend_from_slice(key.as_bytes());
        let name_checksum = Digest::of(&head[HEADER_LEN..]);
        let mut put = |at: usize, field: &[u8]| head[at..at + field.len()].copy_from_slice(field);
        put(0, &MAGIC);
        put(8, &VERSION.to_le_bytes());
        put(10, &(bucket.len() as u16).to_le_bytes());
        put(12, &(key.len() as u16).to_le_bytes());
        put(16, &self.stat.len.bytes().to_le_bytes());
        put(24, &self.stat.checksum.xxh3_64().to_le_bytes());
        put(32, &self.piece_len.to_le_bytes());
        put(40, &name_checksum.xxh3_64().to_le_bytes());
        let checksum = Digest::of(&head[..SUMMED]).xxh3_64();
        head[SUMMED..HEADER_LEN].copy_from_slice(&checksum.to_le_bytes());
        head
    }

    /// Reads the head at the start of a value; the error says what is wrong with it.
    pub(crate) fn decode(value: &[u8]) -> Result<Self, String> {
        let Some(header) = value.first_chunk::<HEADER_LEN>() else {
            return Err(format!("it is shorter than a header, len=`{}`", value.len()));
        };
        if header[..8] != MAGIC {
            return Err("it does not start with the magic of an object".to_owned());
        }
        let version = u16::from_le_bytes([header[8], header[9]]);
        if version != VERSION {
            return Err(format!("its format has another version, version=`{version}`"));
        }
        let number = |at: usize| {
            u64::from_le_bytes(header[at..at + 8].try_into().expect("eight bytes of the header"))
        };
        if number(SUMMED) != Digest::of(&header[..SUMMED]).xxh3_64() {
            return Err("its header is corrupt".to_owned());
        }
        let name = Self::decode_name(value, [number(8), number(40)])?;
        let stat = Stat { len: ByteSize::new(number(16)), checksum: Checksum::new(number(24)) };
        Ok(Self { name, stat, piece_len: number(32) })
    }

    fn decode_name(value: &[u8], [lengths, checksum]: [u64; 2]) -> Result<Name, String> {
        let part = |shift: u32| usize::from((lengths >> shift) as u16);
        let (bucket_len, key_len) = (part(16), part(32));
        let name = value[HEADER_LEN..].get(..bucket_len + key_len);
        let name = name.ok_or_else(|| "its name is truncated".to_owned())?;
        if Digest::of(name).xxh3_64() != checksum {
            return Err("its name is corrupt".to_owned());
        }
        let invalid = || "its name is none that an object can have".to_owned();
        let (bucket, key) = name.split_at(bucket_len);
        let text = |bytes| std::str::from_utf8(bytes).ok();
        let bucket = text(bucket).and_then(|bucket| BucketName::restored(bucket).ok());
        let key = text(key).and_then(|key| Key::new(key).ok());
        Ok(Name { bucket: bucket.ok_or_else(invalid)?, key: key.ok_or_else(invalid)? })
    }

    /// Reads the head of a value that was stored under this name.
    pub(crate) fn decode_as(value: &[u8], bucket: &str, key: &str) -> Result<Self, String> {
        let head = Self::decode(value)?;
        if (head.name.bucket.as_str(), head.name.key.as_str()) == (bucket, key) {
            return Ok(head);
        }
        let Name { bucket, key } = head.name;
        Err(format!("it is another object, bucket=`{bucket}` key=`{key}`"))
    }

    /// Length of the head.
    pub(crate) fn len(&self) -> usize {
        head_len(self.name.bucket.as_str(), self.name.key.as_str())
    }

    /// Number of the object's pieces; 0 if its bytes follow the head.
    pub(crate) fn pieces(&self) -> u64 {
        match self.piece_len {
            0 => 0,
            piece_len => self.stat.len.bytes().div_ceil(piece_len),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        let name =
            Name { bucket: BucketName::new("bucket").unwrap(), key: Key::new("a/key").unwrap() };
        let stat = Stat { len: ByteSize::new(11), checksum: Digest::of(b"hello world") };
        Head { name, stat, piece_len: 0 }
    }

    /// The head of `hello world`, as version 1 writes it.
    const GOLDEN: &str = "6b766c6f626a0d0a01000600050000000b000000000000008b98e640eab147d4\
                          0000000000000000f73b51a0ee5036d900000000000000001f01fb317fadbd8a\
                          6275636b6574612f6b6579";

    #[test]
    fn heads_keep_their_bytes() {
        let encoded = head().encode();
        let hex: String = encoded.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, GOLDEN);
        assert_eq!(Head::decode_as(&encoded, "bucket", "a/key"), Ok(head()));
        assert_eq!(head().len(), encoded.len());
    }

    #[test]
    fn no_head_with_a_changed_byte_is_taken() {
        let encoded = head().encode();
        for at in 0..encoded.len() {
            for bit in 0..8 {
                let mut changed = encoded.clone();
                changed[at] ^= 1 << bit;
                assert!(Head::decode(&changed).is_err(), "byte {at}, bit {bit}");
            }
        }
        for len in 0..encoded.len() {
            assert!(Head::decode(&encoded[..len]).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn the_head_of_another_object_is_told() {
        let reason = Head::decode_as(&head().encode(), "bucket", "other").unwrap_err();
        assert_eq!(reason, "it is another object, bucket=`bucket` key=`a/key`");
        let mut later = head().encode();
        later[8] = 2;
        let reason = Head::decode(&later).unwrap_err();
        assert_eq!(reason, "its format has another version, version=`2`");
    }

    #[test]
    fn the_daemon_s_own_objects_have_heads_as_well() {
        let name =
            Name { bucket: BucketName::retained("job").unwrap(), key: Key::new("a/key").unwrap() };
        let own = Head { name, ..head() };
        assert_eq!(Head::decode(&own.encode()), Ok(own));
    }

    #[test]
    fn pieces_are_counted() {
        let mut head = head();
        assert_eq!(head.pieces(), 0);
        for (piece_len, pieces) in [(11, 1), (10, 2), (1, 11), (100, 1)] {
            head.piece_len = piece_len;
            assert_eq!(head.pieces(), pieces);
        }
    }
}
