//! A client's view of the arena: mapped read-only, and known to nobody but the client.

use std::{
    fs::File,
    io,
    os::fd::AsFd,
    path::{Path, PathBuf},
};

use kvlease_types::{ByteSize, Checksum, Extent};
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};

use crate::{
    Digest, Identity, SegmentName, copy,
    mapping::{Access, Mapping},
};

/// Why extents cannot be copied out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OutOfBounds {
    /// An extent reaches beyond what is mapped.
    #[error(
        "an extent is outside the attached segment: attach to the daemon's own segment, \
         offset=`{}` len=`{}` segment=`{segment}`", extent.offset, extent.len
    )]
    Segment {
        /// The extent.
        extent: Extent,
        /// The length of what is mapped.
        segment: ByteSize,
    },
    /// The extents together are not as long as the buffer.
    #[error(
        "the buffer has not the object's length: give one that has, \
         object=`{object}` buffer=`{buffer}`"
    )]
    Buffer {
        /// The length of all extents together, saturating.
        object: ByteSize,
        /// The length of the buffer.
        buffer: ByteSize,
    },
}

/// A read-only mapping of a daemon's segment, for as long as it lives.
///
/// It stays valid, and keeps its bytes, when the public name is unlinked. Only someone who
/// truncates the file can hurt it: then a copy ends in `SIGBUS`.
#[derive(Debug)]
pub struct Attachment {
    mapping: Mapping,
    identity: Identity,
    path: PathBuf,
}

impl Attachment {
    /// Maps the segment of this name.
    ///
    /// # Errors
    ///
    /// What the kernel says when the name does not exist or may not be read, and
    /// [`io::ErrorKind::InvalidData`] when it is an empty file or none.
    pub fn open(dir: &Path, name: &SegmentName) -> io::Result<Self> {
        let path = dir.join(name.as_str());
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file: File = openat(CWD, &path, flags, Mode::empty())?.into();
        let stat = fstat(&file)?;
        let len = usize::try_from(stat.st_size).unwrap_or(0);
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || len == 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("the segment is empty or no file, path=`{}`", path.display()),
            ));
        }
        let mapping = Mapping::new(file.as_fd(), len, Access::Read)?;
        Ok(Self { mapping, identity: Identity::of_stat(&stat), path })
    }

    /// The length of the segment when it was attached.
    pub fn capacity(&self) -> ByteSize {
        ByteSize::new(self.mapping.len() as u64)
    }

    /// Which file is mapped.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Whether the name is still that of the mapped file. When it is not, another segment took
    /// its place, and offsets from the daemon mean that one.
    pub fn is_current(&self) -> bool {
        matches!(Identity::at(CWD, &self.path), Ok(Some(identity)) if identity == self.identity)
    }

    /// Copies an object's extents, in their order, into a buffer of exactly their length.
    ///
    /// The bytes are those of the object only if its lease lived until the copy was done.
    ///
    /// # Errors
    ///
    /// Nothing is copied unless every extent is inside and the lengths agree.
    pub fn copy_out(&self, extents: &[Extent], into: &mut [u8]) -> Result<(), OutOfBounds> {
        self.each_part(extents, into, |source, part| {
            // SAFETY: `source` has as many mapped bytes as `part`, which is private memory.
            unsafe { copy::copy(source, part.as_mut_ptr(), part.len()) };
        })
    }

    /// Like [`Self::copy_out`], and returns the checksum of the bytes that arrived.
    ///
    /// # Errors
    ///
    /// Those of [`Self::copy_out`].
    pub fn copy_out_digested(
        &self,
        extents: &[Extent],
        into: &mut [u8],
    ) -> Result<Checksum, OutOfBounds> {
        let mut digest = Digest::new();
        self.each_part(extents, into, |source, part| {
            // SAFETY: `source` has as many mapped bytes as `part`, which is private memory.
            unsafe { copy::copy_from_shared(source, part.as_mut_ptr(), part.len(), &mut digest) };
        })?;
        Ok(digest.finish())
    }

    /// Checks everything, then hands out each extent's source with its part of the buffer.
    fn each_part(
        &self,
        extents: &[Extent],
        mut into: &mut [u8],
        mut copy: impl FnMut(*const u8, &mut [u8]),
    ) -> Result<(), OutOfBounds> {
        let segment = self.capacity();
        let mut object: u64 = 0;
        for extent in extents {
            if self.mapping.locate(*extent).is_none() {
                return Err(OutOfBounds::Segment { extent: *extent, segment });
            }
            object = object.saturating_add(extent.len.bytes());
        }
        if object != into.len() as u64 {
            let buffer = ByteSize::new(into.len() as u64);
            return Err(OutOfBounds::Buffer { object: ByteSize::new(object), buffer });
        }
        for extent in extents {
            let source = self.mapping.locate(*extent).expect("every extent was checked above");
            let (part, rest) = into.split_at_mut(extent.len.bytes() as usize);
            copy(source, part);
            into = rest;
        }
        Ok(())
    }
}
