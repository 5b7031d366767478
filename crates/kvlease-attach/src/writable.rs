//! Mapping of a writer: for reading and writing, written to in one way only.

use std::{io, os::fd::OwnedFd, sync::Arc};

use kvlease_sys::{Access, Digest};
use kvlease_types::{ByteSize, Extent};

use crate::{Attachment, OutOfBounds, prefault::Prefaulted};

/// Mapping that objects are written into, in the extents that the daemon reserved for them.
///
/// The caller answers for the right extents; only their bounds are checked.
#[derive(Debug)]
pub struct WritableAttachment {
    /// With a writable mapping.
    reader: Arc<Attachment>,
    prefaulted: Prefaulted,
}

impl WritableAttachment {
    /// Maps the first `capacity` bytes of the arena whose descriptor the daemon passed.
    ///
    /// # Errors
    ///
    /// Those of [`Attachment::from_descriptor`], and the kernel's error when the file is not open
    /// for writing.
    pub fn from_descriptor(descriptor: OwnedFd, capacity: ByteSize) -> io::Result<Self> {
        let reader = Attachment::map(descriptor, capacity, Access::ReadWrite)?;
        let prefaulted = Prefaulted::new(reader.capacity());
        Ok(Self { reader: Arc::new(reader), prefaulted })
    }

    /// The same mapping, for reading.
    pub fn reader(&self) -> &Arc<Attachment> {
        &self.reader
    }

    /// Maps the pages of an object ahead of writes to many small parts of it: each part alone may be
    /// shorter than what is mapped at a time.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`] if an extent is outside.
    pub fn prefault(&self, extents: &[Extent]) -> Result<(), OutOfBounds> {
        self.reader.measure(extents)?;
        let mapping = self.reader.mapping();
        extents.iter().for_each(|extent| self.prefaulted.prefault(mapping, *extent));
        Ok(())
    }

    /// Writes the part of an object that begins `from` bytes after its start; takes the bytes into
    /// `digest` on the way, if there is one.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`] if an extent is outside, or the object ends before the part does. Then
    /// nothing was written.
    pub fn write_part(
        &self,
        extents: &[Extent],
        from: u64,
        bytes: &[u8],
        mut digest: Option<&mut Digest>,
    ) -> Result<(), OutOfBounds> {
        let mut rest = bytes;
        for extent in self.reader.part(extents, from, bytes.len() as u64)? {
            let mapping = self.reader.mapping();
            self.prefaulted.prefault(mapping, extent);
            let (now, later) = rest.split_at(extent.len.bytes() as usize);
            mapping.copy_in(extent.offset, now, digest.as_deref_mut());
            rest = later;
        }
        Ok(())
    }
}
