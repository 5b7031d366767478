//! A writer's view of the arena: mapped for reading and writing, written to in one way only.

use std::{io, os::fd::OwnedFd, sync::Arc};

use kvlease_types::{ByteSize, Extent};

use crate::{Attachment, Digest, OutOfBounds, copy, mapping::Access, prefault::Prefaulted};

/// A mapping that objects can be written into, in the extents that the daemon reserved for them.
///
/// Which extents those are is the daemon's word; here only the bounds are guarded.
#[derive(Debug)]
pub struct WritableAttachment {
    /// Its mapping is a writable one.
    reader: Arc<Attachment>,
    prefaulted: Prefaulted,
}

impl WritableAttachment {
    /// Maps the first `capacity` bytes of the arena whose descriptor the daemon passed.
    ///
    /// # Errors
    ///
    /// Those of [`Attachment::from_descriptor`], and what the kernel says when the file is not open
    /// for writing.
    pub fn from_descriptor(descriptor: OwnedFd, capacity: ByteSize) -> io::Result<Self> {
        let reader = Attachment::map(descriptor, capacity, Access::ReadWrite)?;
        let prefaulted = Prefaulted::new(reader.mapping.len());
        Ok(Self { reader: Arc::new(reader), prefaulted })
    }

    /// The same mapping, for reading.
    pub fn reader(&self) -> &Arc<Attachment> {
        &self.reader
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
            let mapping = &self.reader.mapping;
            self.prefaulted.prefault(mapping, extent);
            let target = mapping.locate(extent);
            let target = target.expect("every extent was checked when the part was made");
            let (now, later) = rest.split_at(extent.len.bytes() as usize);
            let (source, len) = (now.as_ptr(), now.len());
            match digest.as_deref_mut() {
                // SAFETY: the source is a slice; the target has as many bytes in a writable
                // mapping, which no slice of this process ever covers.
                None => unsafe { copy::copy(source, target, len) },
                // SAFETY: likewise.
                Some(digest) => unsafe { copy::copy_to_shared(source, target, len, digest) },
            }
            rest = later;
        }
        Ok(())
    }
}
