//! Manifest of an earlier daemon, read into memory.

use kvlease_types::SealedObject;

use super::{entry, origin::ManifestOrigin};

/// Manifest of an earlier daemon, read into memory.
#[derive(Debug)]
pub struct StoredManifest {
    origin: ManifestOrigin,
    /// All of the file that was ever written.
    bytes: Vec<u8>,
}

impl StoredManifest {
    /// An empty manifest, for this reason.
    pub(crate) fn empty(origin: ManifestOrigin) -> Self {
        Self { origin, bytes: Vec::new() }
    }

    /// The manifest in these bytes, whatever arena they belong to.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self { origin: ManifestOrigin::Kept, bytes }
    }

    /// Writes into every cell the checksum of the entry that could begin there: for tests of the
    /// code behind the checksums.
    #[doc(hidden)]
    pub fn seal(bytes: &mut [u8]) {
        entry::seal(bytes);
    }

    /// Result of the search for the file.
    pub fn origin(&self) -> ManifestOrigin {
        self.origin
    }

    /// Calls `each` with every intact entry, in no order. Returns the number of corrupt ones: a
    /// daemon that is killed leaves one at most.
    pub fn for_each(&self, each: impl FnMut(&SealedObject<'_>)) -> u64 {
        entry::for_each(&self.bytes, each)
    }
}
