//! Names in the store.
//!
//! | name | value |
//! |---|---|
//! | `PREFIX/v1/BUCKET/KEY` | an object, or the head of one in pieces |
//! | `PREFIX/v1p/BUCKET/KEY/CHECKSUM-N` | piece N of the object with that checksum |
//! | `PREFIX/v1dir/NODE/NUMBERS` | an entry of the directory, in S3 |
//! | `PREFIX/v1dir/NODE` | a hash of `NUMBERS` and entries, in Valkey |
//! | `PREFIX/v1dir` | the set of the nodes, in Valkey |

use std::fmt;

use kvlease_types::Checksum;

use crate::segment::{SEGMENT_LEN_MAX, Segment, is_plain, segment, segment_prefix};

/// Prefix of all names where the URL has none.
const PREFIX: &str = "kvlease";

/// The longest prefix, so that every name keeps within 1024 bytes, S3's limit.
const PREFIX_LEN_MAX: usize = 256;

/// Names below one prefix.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    prefix: String,
    segment_len_max: usize,
}

/// The text cannot be a prefix of names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BadPrefix;

impl fmt::Display for BadPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the prefix has segments of letters, digits and `-_.@:=,`, with `/` between them, and at \
             most {PREFIX_LEN_MAX} bytes"
        )
    }
}

impl Layout {
    /// Names below this prefix, or below the default one.
    pub(crate) fn new(prefix: &str) -> Result<Self, BadPrefix> {
        let prefix = if prefix.is_empty() { PREFIX } else { prefix };
        let is_segment =
            |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(is_plain);
        if prefix.len() > PREFIX_LEN_MAX || !prefix.split('/').all(is_segment) {
            return Err(BadPrefix);
        }
        Ok(Self { prefix: prefix.to_owned(), segment_len_max: SEGMENT_LEN_MAX })
    }

    /// The same names with segments of at most this length.
    pub(crate) fn with_segments_within(self, segment_len_max: usize) -> Self {
        Self { segment_len_max, ..self }
    }

    /// Reads the segment of a bucket or a key.
    pub(crate) fn read(&self, written: &str) -> Option<Segment> {
        Segment::read(written, self.segment_len_max)
    }

    fn segment(&self, text: &str) -> String {
        segment(text, self.segment_len_max)
    }

    /// Name of an object.
    pub(crate) fn object(&self, bucket: &str, key: &str) -> String {
        format!("{}/v1/{}/{}", self.prefix, self.segment(bucket), self.segment(key))
    }

    /// Start of the names of a bucket's objects; the segment of the key follows.
    pub(crate) fn bucket(&self, bucket: &str) -> String {
        format!("{}/v1/{}/", self.prefix, self.segment(bucket))
    }

    /// Start of the names of a bucket's objects whose keys start with `key_prefix`.
    pub(crate) fn objects(&self, bucket: &str, key_prefix: &str) -> String {
        self.bucket(bucket) + &segment_prefix(key_prefix, self.segment_len_max)
    }

    /// Name of the directory.
    pub(crate) fn directory(&self) -> String {
        format!("{}/v1dir", self.prefix)
    }

    /// Name of an entry of the directory, or of a node in it.
    pub(crate) fn entry(&self, entry: &str) -> String {
        format!("{}/v1dir/{entry}", self.prefix)
    }

    /// Name of a piece of an object.
    pub(crate) fn piece(&self, bucket: &str, key: &str, checksum: Checksum, piece: u64) -> String {
        let (bucket, key) = (self.segment(bucket), self.segment(key));
        format!("{}/v1p/{bucket}/{key}/{checksum}-{piece}", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_readable() {
        let layout = Layout::new("team/kv").unwrap();
        assert_eq!(layout.object("lmcache", "a/b"), "team/kv/v1/lmcache/a%2Fb");
        assert_eq!(layout.objects("lmcache", "a/"), "team/kv/v1/lmcache/a%2F");
        let checksum = Checksum::new(0xab);
        let piece = "team/kv/v1p/lmcache/a%2Fb/00000000000000ab-7";
        assert_eq!(layout.piece("lmcache", "a/b", checksum, 7), piece);
        assert_eq!(Layout::new("").unwrap().object("b", "k"), "kvlease/v1/b/k");
    }

    #[test]
    fn the_longest_name_keeps_within_the_limit_of_s3() {
        let layout = Layout::new(&"p".repeat(PREFIX_LEN_MAX)).unwrap();
        let name = layout.piece(&"/".repeat(255), &"/".repeat(2048), Checksum::new(0), u64::MAX);
        assert!(name.len() <= 1024, "{}", name.len());
    }

    #[test]
    fn prefixes_need_no_escape() {
        for prefix in ["/", "a//b", "a/", "/a", "..", "a/./b", "a b", "{a}", "a%20", "é"] {
            assert_eq!(Layout::new(prefix).unwrap_err(), BadPrefix, "{prefix}");
        }
        assert!(Layout::new(&"p".repeat(PREFIX_LEN_MAX + 1)).is_err());
    }
}
