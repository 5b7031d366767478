//! Sources and destinations in memory, and objects whose bytes follow from their names.

use std::sync::{Arc, Mutex};

use kvlease_sys::Digest;
use kvlease_tier::{
    Destination, Loaded, Name, Object, Source, SourceChanged, Stat, Stored, Tier, TierError,
};
use kvlease_types::{BucketName, ByteSize, Key};

/// Source of bytes in memory.
#[derive(Debug)]
pub(crate) struct Bytes {
    bytes: Arc<[u8]>,
    read: usize,
}

impl Bytes {
    pub(crate) fn new(bytes: &[u8]) -> Box<Self> {
        Box::new(Self { bytes: bytes.into(), read: 0 })
    }
}

impl Source for Bytes {
    fn read(&mut self, into: &mut [u8], digest: Option<&mut Digest>) -> Result<(), SourceChanged> {
        into.copy_from_slice(&self.bytes[self.read..][..into.len()]);
        if let Some(digest) = digest {
            digest.update(into);
        }
        self.read += into.len();
        Ok(())
    }
}

/// Outcome of a destination.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    Open,
    Complete(Vec<u8>),
    Discarded,
}

/// Destination in memory.
#[derive(Debug)]
pub(crate) struct Sink {
    bytes: Vec<u8>,
    outcome: Arc<Mutex<Outcome>>,
}

impl Sink {
    pub(crate) fn new() -> (Box<Self>, Arc<Mutex<Outcome>>) {
        let outcome = Arc::new(Mutex::new(Outcome::Open));
        (Box::new(Self { bytes: Vec::new(), outcome: Arc::clone(&outcome) }), outcome)
    }
}

impl Destination for Sink {
    fn write(&mut self, bytes: &[u8], digest: &mut Digest) {
        digest.update(bytes);
        self.bytes.extend_from_slice(bytes);
    }

    fn complete(mut self: Box<Self>) {
        *self.outcome.lock().expect("no thread panics with it") =
            Outcome::Complete(std::mem::take(&mut self.bytes));
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let mut outcome = self.outcome.lock().expect("no thread panics with it");
        if *outcome == Outcome::Open {
            *outcome = Outcome::Discarded;
        }
    }
}

pub(crate) const BUCKET: &str = "bucket";

pub(crate) fn name(key: &str) -> Name {
    Name {
        bucket: BucketName::new(BUCKET).expect("a valid name"),
        key: Key::new(key).expect("tests use valid keys"),
    }
}

/// Bytes that follow from a name and a version.
pub(crate) fn bytes(key: &str, version: u32, len: usize) -> Vec<u8> {
    let seed = Digest::of(format!("{key} {version}").as_bytes()).xxh3_64() | 1;
    let words = (1..).map(|at: u64| seed.wrapping_mul(at).rotate_left(17) ^ at);
    let mut bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).take(len).collect();
    // Contents that look like the log's own must not confuse it.
    if let Some(start) = bytes.first_chunk_mut() {
        *start = *b"KVLRECD1";
    }
    bytes
}

pub(crate) fn object(key: &str, bytes: &[u8]) -> Object {
    let stat = Stat { len: ByteSize::new(bytes.len() as u64), checksum: Digest::of(bytes) };
    Object { name: name(key), stat }
}

pub(crate) async fn store(tier: &dyn Tier, key: &str, bytes: &[u8]) -> Result<Stored, TierError> {
    tier.store(&object(key, bytes), Bytes::new(bytes)).await
}

/// The object's bytes; `None` if the tier does not have it.
pub(crate) async fn load(
    tier: &dyn Tier,
    key: &str,
    stat: Stat,
) -> Result<Option<Vec<u8>>, TierError> {
    let (sink, outcome) = Sink::new();
    let loaded = tier.load(&name(key), stat, sink).await;
    let outcome = outcome.lock().expect("no thread panics with it").clone();
    match (loaded, outcome) {
        (Ok(Loaded::Complete), Outcome::Complete(bytes)) => Ok(Some(bytes)),
        (Ok(Loaded::Absent), Outcome::Discarded) => Ok(None),
        (Err(error), Outcome::Discarded) => Err(error),
        (loaded, outcome) => panic!("answer {loaded:?} and destination {outcome:?} differ"),
    }
}

/// Runs a future to its end.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime without I/O")
        .block_on(future)
}
