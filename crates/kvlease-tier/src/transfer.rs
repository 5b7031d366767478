//! Objects on their way to a tier and back.

use std::fmt;

use kvlease_sys::{Digest, MappedExtent};
use kvlease_types::ByteSize;

use crate::object::{Name, Stat};

/// Object to be stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Object {
    /// Its name.
    pub name: Name,
    /// Its length, and the checksum that its bytes are to have.
    pub stat: Stat,
}

/// Bytes of an object that goes to a tier, in order.
///
/// Nothing keeps the bytes as they are while they are read. So before a tier publishes what it took, it
/// compares their checksum with the object's, or asks a source that notices changes.
pub trait Source: fmt::Debug + Send {
    /// Copies the next `into.len()` bytes, and takes them into the digest, if there is one. The tier asks
    /// for no more than are left.
    ///
    /// # Errors
    ///
    /// [`SourceChanged`] if the bytes are known to be the object's no longer.
    fn read(&mut self, into: &mut [u8], digest: Option<&mut Digest>) -> Result<(), SourceChanged>;

    /// Starts again from the first byte, for a tier that sends the bytes a second time after its store failed.
    /// False for a source that is read once.
    fn rewind(&mut self) -> bool {
        false
    }

    /// Memory of the next `len` bytes, for a tier whose device reads it without a copy; `len` is of whole
    /// pages. `None` if the bytes are to be copied: then it is `None` for all of them.
    fn memory(&mut self, _len: u64) -> Option<Vec<MappedExtent>> {
        None
    }

    /// Whether the bytes were compared with their checksum once, and [`Self::is_unchanged`] notices if they
    /// become another object's. A tier that compares the checksum of what it loads need not sum such bytes
    /// again: it asks [`Self::is_unchanged`] after the last of them was copied, or read by the device.
    fn notices_changes(&self) -> bool {
        false
    }

    /// Whether the bytes that were copied or given are still the object's, as far as is known. A tier whose
    /// device read the memory asks before it publishes the object.
    fn is_unchanged(&self) -> bool {
        true
    }
}

/// The bytes of a source are not the object's any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the object's bytes changed while they were copied")]
pub struct SourceChanged;

/// Place for the bytes of an object that comes back from a tier. Dropping it discards what was
/// written.
pub trait Destination: fmt::Debug + Send {
    /// Appends bytes, and takes them into the digest. The tier writes no more than the object's
    /// length.
    fn write(&mut self, bytes: &[u8], digest: &mut Digest);

    /// Memory of the next `len` bytes, for a tier whose device writes it without a copy; `len` is of whole
    /// pages. `None` if the bytes are to be copied: then it is `None` for all of them. The tier drops
    /// or completes the destination after the device has ended, and not before.
    fn memory(&mut self, _len: u64) -> Option<Vec<MappedExtent>> {
        None
    }

    /// Publishes the object. The tier calls it once all bytes are written, and their checksum was
    /// found to be the object's.
    fn complete(self: Box<Self>);
}

/// Outcome of a load that did not fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loaded {
    /// The destination has the object.
    Complete,
    /// The tier has no such object any more.
    Absent,
}

/// Outcome of a store that did not fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stored {
    /// The tier has taken the object. The size is what it wrote, with what it stores beside it.
    Written(ByteSize),
    /// The tier had the object already, with the same length and checksum.
    Present,
}
