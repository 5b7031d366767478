//! Names of objects, and the checksum of their bytes.

use std::{fmt, sync::Arc};

use crate::Hex;

/// The longest bucket name, in bytes of UTF-8.
pub const BUCKET_LEN_MAX: usize = 255;

/// First characters of the names of buckets that hold the daemon's own objects, which eviction never
/// takes. No client can name such a bucket.
pub const RETAINED_PREFIX: &str = "kvlease:checkpoint:";

/// The longest key, in bytes of UTF-8 after percent-decoding.
pub const KEY_LEN_MAX: usize = 2048;

/// Reason why a text cannot name a bucket or an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NameError {
    /// The bucket name is empty.
    #[error("the bucket name is empty: give it at least one character")]
    BucketEmpty,
    /// The bucket name is longer than [`BUCKET_LEN_MAX`].
    #[error("the bucket name is too long: keep it within {BUCKET_LEN_MAX} bytes, len=`{len}`")]
    BucketTooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// The bucket name begins with [`RETAINED_PREFIX`].
    #[error(
        "bucket names that begin with `{RETAINED_PREFIX}` are the daemon's: choose another name"
    )]
    BucketRetained,
    /// The key is empty.
    #[error("the key is empty: give it at least one character")]
    KeyEmpty,
    /// The key is longer than [`KEY_LEN_MAX`].
    #[error("the key is too long: keep it within {KEY_LEN_MAX} bytes, len=`{len}`")]
    KeyTooLong {
        /// Its length in bytes.
        len: usize,
    },
}

/// Name of a bucket, a namespace of keys: 1 to [`BUCKET_LEN_MAX`] bytes of UTF-8. Clones share the
/// text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BucketName(Arc<str>);

impl BucketName {
    /// Checks the length and takes the name.
    pub fn new(name: impl Into<Arc<str>>) -> Result<Self, NameError> {
        let name = name.into();
        Self::check(&name)?;
        Ok(Self(name))
    }

    /// Says whether a bucket can have this name, without taking it.
    pub fn check(name: &str) -> Result<(), NameError> {
        match name.len() {
            0 => Err(NameError::BucketEmpty),
            len if len > BUCKET_LEN_MAX => Err(NameError::BucketTooLong { len }),
            _ if name.starts_with(RETAINED_PREFIX) => Err(NameError::BucketRetained),
            _ => Ok(()),
        }
    }

    /// The bucket of the daemon's own objects with this name.
    pub fn retained(name: &str) -> Result<Self, NameError> {
        match name.len() {
            0 => Err(NameError::BucketEmpty),
            len if len > BUCKET_LEN_MAX - RETAINED_PREFIX.len() => {
                Err(NameError::BucketTooLong { len })
            }
            _ => Ok(Self(format!("{RETAINED_PREFIX}{name}").into())),
        }
    }

    /// The bucket of an object that an earlier daemon stored: a client's, or a retained one.
    pub fn restored(name: &str) -> Result<Self, NameError> {
        name.strip_prefix(RETAINED_PREFIX).map_or_else(|| Self::new(name), Self::retained)
    }

    /// Name of the bucket in whose place a caller gets its answer who may not know of another one: it never
    /// has an object, since neither a client nor the daemon can name it.
    pub const EMPTY: &'static str = RETAINED_PREFIX;

    /// The bucket of that name.
    pub fn empty() -> Self {
        Self(Self::EMPTY.into())
    }

    /// Whether eviction never takes its objects.
    pub fn is_retained(&self) -> bool {
        self.0.starts_with(RETAINED_PREFIX)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Name of an object within its bucket: 1 to [`KEY_LEN_MAX`] bytes of UTF-8, any characters. Clones
/// share the text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key(Arc<str>);

impl Key {
    /// Checks the length and takes the name.
    pub fn new(name: impl Into<Arc<str>>) -> Result<Self, NameError> {
        let name = name.into();
        Self::check(&name)?;
        Ok(Self(name))
    }

    /// Says whether an object can have this name, without taking it.
    pub fn check(name: &str) -> Result<(), NameError> {
        match name.len() {
            0 => Err(NameError::KeyEmpty),
            len if len > KEY_LEN_MAX => Err(NameError::KeyTooLong { len }),
            _ => Ok(()),
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// XXH3-64 with seed 0 of an object's bytes, in their order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Checksum(u64);

impl Checksum {
    /// The checksum with this value.
    pub const fn new(xxh3_64: u64) -> Self {
        Self(xxh3_64)
    }

    /// The checksum as a number.
    pub const fn xxh3_64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex::new(self.0).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_within_their_limits() {
        assert_eq!(BucketName::new(""), Err(NameError::BucketEmpty));
        assert_eq!(Key::new(""), Err(NameError::KeyEmpty));
        assert!(BucketName::new("b".repeat(BUCKET_LEN_MAX)).is_ok());
        assert!(Key::new("k".repeat(KEY_LEN_MAX)).is_ok());
        let too_long = BUCKET_LEN_MAX + 1;
        assert_eq!(
            BucketName::new("b".repeat(too_long)),
            Err(NameError::BucketTooLong { len: too_long })
        );
        let longest = BUCKET_LEN_MAX - RETAINED_PREFIX.len();
        assert!(BucketName::retained(&"b".repeat(longest)).is_ok());
        assert!(BucketName::retained(&"b".repeat(longest + 1)).is_err());
        let too_long = KEY_LEN_MAX + 1;
        assert_eq!(Key::new("k".repeat(too_long)), Err(NameError::KeyTooLong { len: too_long }));
    }

    #[test]
    fn clients_cannot_name_a_retained_bucket() {
        let retained = BucketName::retained("job").unwrap();
        assert!(retained.is_retained());
        assert_eq!(BucketName::new(retained.as_str()), Err(NameError::BucketRetained));
        assert_eq!(BucketName::restored(retained.as_str()), Ok(retained));
        let plain = BucketName::restored("b").unwrap();
        assert_eq!((plain.as_str(), plain.is_retained()), ("b", false));
        // The bucket that is always empty has a name that nothing can be stored under.
        let empty = BucketName::empty();
        assert_eq!(BucketName::restored(empty.as_str()), Err(NameError::BucketEmpty));
        assert_eq!(BucketName::new(empty.as_str()), Err(NameError::BucketRetained));
    }
}
