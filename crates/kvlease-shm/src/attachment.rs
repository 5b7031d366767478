//! A client's view of the arena: mapped read-only, and known to nobody but the client.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

use kvlease_types::{ByteSize, Checksum, Extent, Offset};
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

/// A mapping of a daemon's segment to read from, for as long as it lives.
///
/// It stays valid, and keeps its bytes, when the public name is unlinked. Only someone who
/// truncates the file can hurt it: then a copy ends in `SIGBUS`.
#[derive(Debug)]
pub struct Attachment {
    pub(crate) mapping: Mapping,
    identity: Identity,
    /// The name it was found under; `None` if the daemon passed a descriptor.
    path: Option<PathBuf>,
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
        let (len, identity) = inspect(&file)?;
        if len == 0 {
            return Err(invalid(format!(
                "the segment is empty or no file, path=`{}`",
                path.display()
            )));
        }
        let mapping = Mapping::new(file.as_fd(), len, Access::Read)?;
        Ok(Self { mapping, identity, path: Some(path) })
    }

    /// Maps the first `capacity` bytes of the arena whose descriptor the daemon passed.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidData`] when it is no file of at least that length or `capacity` is
    /// zero, and what the kernel says when it cannot be mapped.
    pub fn from_descriptor(descriptor: OwnedFd, capacity: ByteSize) -> io::Result<Self> {
        Self::map(descriptor, capacity, Access::Read)
    }

    pub(crate) fn map(descriptor: OwnedFd, capacity: ByteSize, access: Access) -> io::Result<Self> {
        let (len, identity) = inspect(&descriptor)?;
        let wanted = usize::try_from(capacity.bytes()).unwrap_or(usize::MAX);
        if wanted == 0 || len < wanted {
            let fault = "the arena that the daemon passed has not the length that it says";
            return Err(invalid(format!("{fault}, capacity=`{capacity}` len=`{len}`")));
        }
        let mapping = Mapping::new(descriptor.as_fd(), wanted, access)?;
        Ok(Self { mapping, identity, path: None })
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
    ///
    /// An arena that came as a descriptor has no name that could become another's: it is the
    /// daemon's for as long as the connection that it came over.
    pub fn is_current(&self) -> bool {
        let Some(path) = &self.path else { return true };
        matches!(Identity::at(CWD, path), Ok(Some(identity)) if identity == self.identity)
    }

    /// Whether the name is that of another file by now. Unlike [`Self::is_current`] it tells a
    /// name that is merely gone, which a client's exit does and the daemon mends, from a segment
    /// that took this one's place. An arena that came as a descriptor is never replaced.
    pub fn is_replaced(&self) -> bool {
        let Some(path) = &self.path else { return false };
        matches!(Identity::at(CWD, path), Ok(Some(identity)) if identity != self.identity)
    }

    /// The length of an object of these extents, all of which lie within the segment.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds::Segment`] for the first extent that does not, and [`OutOfBounds::Buffer`] for
    /// extents that together are longer than the segment: no buffer could be made for them.
    pub fn measure(&self, extents: &[Extent]) -> Result<ByteSize, OutOfBounds> {
        let segment = self.capacity();
        let mut object: u64 = 0;
        for extent in extents {
            if self.mapping.locate(*extent).is_none() {
                return Err(OutOfBounds::Segment { extent: *extent, segment });
            }
            object = object.saturating_add(extent.len.bytes());
        }
        let object = ByteSize::new(object);
        match object > segment {
            true => Err(OutOfBounds::Buffer { object, buffer: segment }),
            false => Ok(object),
        }
    }

    /// The address of an extent's first byte in this process, or `None` if any of it is outside.
    ///
    /// What is there may change at any time: see the [`copy`] module before following it.
    pub fn locate(&self, extent: Extent) -> Option<*const u8> {
        self.mapping.locate(extent).map(<*mut u8>::cast_const)
    }

    /// Copies the part of an object that begins `from` bytes after its start and is as long as
    /// `into`; takes the bytes that arrived into `digest`, if there is one.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`] if an extent is outside, or the object ends before the part does.
    pub fn copy_part(
        &self,
        extents: &[Extent],
        from: u64,
        into: &mut [u8],
        mut digest: Option<&mut Digest>,
    ) -> Result<(), OutOfBounds> {
        let part = self.part(extents, from, into.len() as u64)?;
        let mut rest = into;
        for extent in part {
            let source = self.mapping.locate(extent).expect("every extent was checked above");
            let (into, after) = rest.split_at_mut(extent.len.bytes() as usize);
            let (target, len) = (into.as_mut_ptr(), into.len());
            match digest.as_deref_mut() {
                // SAFETY: `source` has as many mapped bytes as `into`, which is private memory.
                None => unsafe { copy::copy(source, target, len) },
                // SAFETY: likewise.
                Some(digest) => unsafe { copy::copy_from_shared(source, target, len, digest) },
            }
            rest = after;
        }
        Ok(())
    }

    /// Takes what follows an object's first `from` bytes into `digest`.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`] if an extent is outside, or the object is shorter than `from`.
    pub fn digest_rest(
        &self,
        extents: &[Extent],
        from: u64,
        digest: &mut Digest,
    ) -> Result<(), OutOfBounds> {
        let len = self.measure(extents)?.bytes().saturating_sub(from);
        for extent in self.part(extents, from, len)? {
            let source = self.mapping.locate(extent).expect("every extent was checked above");
            // SAFETY: the extent is mapped.
            unsafe { copy::digest_shared(source, extent.len.bytes() as usize, digest) };
        }
        Ok(())
    }

    /// Whether [`Self::copy_part`] could be done.
    pub(crate) fn check_part(
        &self,
        extents: &[Extent],
        from: u64,
        len: u64,
    ) -> Result<(), OutOfBounds> {
        self.part(extents, from, len).map(drop)
    }

    /// The extents of the `len` bytes that follow an object's first `from` bytes.
    pub(crate) fn part<'a>(
        &self,
        extents: &'a [Extent],
        mut from: u64,
        mut len: u64,
    ) -> Result<impl Iterator<Item = Extent> + use<'a>, OutOfBounds> {
        let object = self.measure(extents)?;
        if from.checked_add(len).is_none_or(|end| end > object.bytes()) {
            let buffer = ByteSize::new(from.saturating_add(len));
            return Err(OutOfBounds::Buffer { object, buffer });
        }
        Ok(extents.iter().filter_map(move |extent| {
            let skipped = from.min(extent.len.bytes());
            from -= skipped;
            let taken = len.min(extent.len.bytes() - skipped);
            len -= taken;
            // Within the extent, whose end was checked.
            let offset = Offset::new(extent.offset.bytes() + skipped);
            (taken > 0).then(|| Extent::new(offset, ByteSize::new(taken)))
        }))
    }

    /// Copies an object's extents, in their order, into a buffer of exactly their length.
    ///
    /// The bytes are those of the object only if its lease lived until the copy was done.
    ///
    /// # Errors
    ///
    /// Nothing is copied unless every extent is inside and the lengths agree.
    pub fn copy_out(&self, extents: &[Extent], into: &mut [u8]) -> Result<(), OutOfBounds> {
        self.demand_len(extents, into.len())?;
        self.copy_part(extents, 0, into, None)
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
        self.demand_len(extents, into.len())?;
        let mut digest = Digest::new();
        self.copy_part(extents, 0, into, Some(&mut digest))?;
        Ok(digest.finish())
    }

    fn demand_len(&self, extents: &[Extent], len: usize) -> Result<(), OutOfBounds> {
        let (object, buffer) = (self.measure(extents)?, ByteSize::new(len as u64));
        match object == buffer {
            true => Ok(()),
            false => Err(OutOfBounds::Buffer { object, buffer }),
        }
    }
}

/// The length of a file, 0 for anything else, and which file it is.
fn inspect(file: impl AsFd) -> io::Result<(usize, Identity)> {
    let stat = fstat(file)?;
    let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    let len = usize::try_from(stat.st_size).unwrap_or(0);
    Ok((if is_file { len } else { 0 }, Identity::of_stat(&stat)))
}

fn invalid(fault: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, fault)
}
