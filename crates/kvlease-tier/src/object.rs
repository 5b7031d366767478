//! Objects as a tier knows them.

use kvlease_types::{BucketName, ByteSize, Checksum, Key};

/// Name of an object: its bucket, and its key in the bucket.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Name {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: Key,
}

/// Length and checksum of a stored object.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Stat {
    /// Length, in bytes.
    pub len: ByteSize,
    /// Checksum of the bytes.
    pub checksum: Checksum,
}

/// Knowledge of a tier about a name, without a call to its store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Presence {
    /// The tier has the object.
    Here(Stat),
    /// The tier cannot have it.
    Absent,
    /// The tier has to be asked, with [`find`](crate::Tier::find).
    Unknown,
}

/// Object in a listing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// Its key.
    pub key: Key,
    /// Its length.
    pub len: ByteSize,
}

/// Page of a listing.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Page {
    /// The objects, in an order of the tier's own.
    pub objects: Vec<Listed>,
    /// Where the next page starts; `None` behind the last one. Only the tier that gave it can read
    /// it.
    pub next: Option<String>,
}

/// Contents of a tier, as far as it knows them without a call to its store.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Usage {
    /// Objects, if they are counted.
    pub objects: Option<u64>,
    /// Bytes that they take, with what the tier stores beside them, if they are counted.
    pub used: Option<ByteSize>,
    /// Bytes that the tier may take, if it has a limit.
    pub capacity: Option<ByteSize>,
    /// Objects that gave their place to newer ones since the tier was opened, if they are counted.
    pub forgotten: Option<u64>,
}
