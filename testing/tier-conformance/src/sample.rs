//! Objects with bytes that name them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use kvlease_harness::{Payload, WORD};
use kvlease_sys::Digest;
use kvlease_tier::{Name, Object, Stat};
use kvlease_types::{BucketName, ByteSize, Key};

/// The shortest payload that names its version and its length.
const PAYLOAD_MIN: usize = 2 * WORD;

/// Owners of bytes, by the first word that no other object has.
static OWNERS: Mutex<Option<HashMap<[u8; WORD], String>>> = Mutex::new(None);

/// Object with its bytes, which follow from its name, version and length.
#[derive(Clone, Debug)]
pub struct Sample {
    object: Object,
    version: u64,
    bytes: Arc<[u8]>,
}

impl Sample {
    /// Object of this name and length.
    ///
    /// # Panics
    ///
    /// If bucket or key are too long.
    pub fn new(bucket: &str, key: &str, version: u64, len: usize) -> Self {
        let name = Name {
            bucket: BucketName::new(bucket).expect("the case names a bucket that may be"),
            key: Key::new(key).expect("the case names a key that may be"),
        };
        let payload = Payload::new(&format!("{bucket}\0{key}"), version, len.max(PAYLOAD_MIN));
        let mut bytes = payload.bytes();
        bytes.truncate(len);
        let stat = Stat { len: ByteSize::new(len as u64), checksum: Digest::of(&bytes) };
        let sample = Self { object: Object { name, stat }, version, bytes: bytes.into() };
        sample.register();
        sample
    }

    /// The same object with the next version of its bytes.
    #[must_use]
    pub fn next_version(&self) -> Self {
        let Name { bucket, key } = self.name();
        Self::new(bucket.as_str(), key.as_str(), self.version + 1, self.bytes.len())
    }

    /// The object.
    pub const fn object(&self) -> &Object {
        &self.object
    }

    /// Its name.
    pub const fn name(&self) -> &Name {
        &self.object.name
    }

    /// Its bucket.
    pub fn bucket(&self) -> &str {
        self.object.name.bucket.as_str()
    }

    /// Its key.
    pub fn key(&self) -> &str {
        self.object.name.key.as_str()
    }

    /// Its length and checksum.
    pub const fn stat(&self) -> Stat {
        self.object.stat
    }

    /// Its bytes.
    pub const fn bytes(&self) -> &Arc<[u8]> {
        &self.bytes
    }

    /// Fails unless these are the object's bytes. The message says whose they are.
    ///
    /// # Panics
    ///
    /// If a byte is wrong.
    pub fn verify(&self, found: &[u8]) {
        if found == &*self.bytes {
            return;
        }
        let differs = |at: &usize| found.get(*at) != self.bytes.get(*at);
        let first = (0..found.len().max(self.bytes.len())).find(differs);
        panic!(
            "wrong bytes came back for {}, first=`{first:?}` len=`{}`: at their begin these are {}",
            self.text(),
            found.len(),
            owner(found),
        );
    }

    fn text(&self) -> String {
        let (name, version) = (self.name(), self.version);
        let (bucket, key) = (name.bucket.as_str(), name.key.as_str());
        format!("bucket={bucket:?} key={key:?} version=`{version}` len=`{}`", self.bytes.len())
    }

    fn register(&self) {
        let Some(word) = distinct_word(&self.bytes) else { return };
        let mut owners = OWNERS.lock().unwrap_or_else(PoisonError::into_inner);
        owners.get_or_insert_default().insert(word, self.text());
    }
}

fn distinct_word(bytes: &[u8]) -> Option<[u8; WORD]> {
    bytes.get(PAYLOAD_MIN..PAYLOAD_MIN + WORD)?.try_into().ok()
}

fn owner(bytes: &[u8]) -> String {
    let Some(word) = distinct_word(bytes) else { return "too few to tell".to_owned() };
    let owners = OWNERS.lock().unwrap_or_else(PoisonError::into_inner);
    let known = owners.as_ref().and_then(|owners| owners.get(&word));
    known.map_or_else(|| "of no object of the tests".to_owned(), |text| format!("those of {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "those of bucket=\"b\" key=\"other\" version=`7`")]
    fn wrong_bytes_are_named() {
        let other = Sample::new("b", "other", 7, 1000);
        Sample::new("b", "one", 1, 1000).verify(other.bytes());
    }

    #[test]
    fn no_two_samples_share_their_bytes() {
        let sample = Sample::new("b", "k", 1, 1000);
        sample.verify(Sample::new("b", "k", 1, 1000).bytes());
        assert_ne!(sample.bytes(), sample.next_version().bytes());
        assert_ne!(sample.bytes(), Sample::new("c", "k", 1, 1000).bytes());
        assert_ne!(sample.stat(), sample.next_version().stat());
    }
}
