//! Read-only mapping of a client, unknown to the daemon.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    sync::Arc,
};

use kvlease_sys::{Access, Digest, Identity, MappedExtent, Mapping};
use kvlease_types::{ByteSize, Checksum, Extent, Offset, SegmentName};
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};

use crate::{OutOfBounds, TrustedUsers, descriptor::invalid};

/// Mapping of a daemon's segment, for reading.
///
/// It stays valid, and keeps its bytes, when the public name is unlinked. If the file is truncated,
/// the attachment is [lost](Self::is_lost): copies end, and their bytes are of no use.
#[derive(Debug)]
pub struct Attachment {
    mapping: Arc<Mapping>,
    identity: Identity,
    /// Name that it was opened by; `None` if the daemon passed a descriptor.
    path: Option<PathBuf>,
}

impl Attachment {
    /// Maps the segment of this name, if it belongs to a user of `trusted`.
    ///
    /// # Errors
    ///
    /// The kernel's error when the name does not exist or may not be read,
    /// [`io::ErrorKind::InvalidData`] when it is empty or not a regular file, and
    /// [`io::ErrorKind::PermissionDenied`] when it belongs to another user.
    pub fn open(dir: &Path, name: &SegmentName, trusted: TrustedUsers) -> io::Result<Self> {
        let path = dir.join(name.as_str());
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file: File = openat(CWD, &path, flags, Mode::empty())?.into();
        let Inspected { len, identity, owner } = inspect(&file)?;
        if !trusted.include(owner) {
            return Err(foreign(owner, &path));
        }
        if len == 0 {
            return Err(invalid(format!(
                "the segment is empty or not a regular file, path=`{}`",
                path.display()
            )));
        }
        let mapping = Arc::new(Mapping::guarded(file.as_fd(), len, Access::Read)?);
        Ok(Self { mapping, identity, path: Some(path) })
    }

    /// Maps the first `capacity` bytes of the arena whose descriptor the daemon passed.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidData`] when it is not a file of at least that length or `capacity` is
    /// zero, and the kernel's error when it cannot be mapped.
    pub fn from_descriptor(descriptor: OwnedFd, capacity: ByteSize) -> io::Result<Self> {
        Self::map(descriptor, capacity, Access::Read)
    }

    pub(crate) fn map(descriptor: OwnedFd, capacity: ByteSize, access: Access) -> io::Result<Self> {
        let Inspected { len, identity, .. } = inspect(&descriptor)?;
        let wanted = usize::try_from(capacity.bytes()).unwrap_or(usize::MAX);
        if wanted == 0 || len < wanted {
            let fault = "the arena that the daemon passed is shorter than announced";
            return Err(invalid(format!("{fault}, capacity=`{capacity}` len=`{len}`")));
        }
        let mapping = Arc::new(Mapping::guarded(descriptor.as_fd(), wanted, access)?);
        Ok(Self { mapping, identity, path: None })
    }

    /// Length of the segment when it was attached.
    pub fn capacity(&self) -> ByteSize {
        self.mapping.size()
    }

    /// Identity of the mapped file.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    pub(crate) fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    /// Whether the file was truncated while it was read or written: the mapping has none of its bytes
    /// any more. Bytes that were copied before this returned `false` were the file's.
    pub fn is_lost(&self) -> bool {
        self.mapping.is_lost()
    }

    /// True if the name is still that of the mapped file. If it is not, another segment took its
    /// place, and offsets from the daemon refer to that one.
    ///
    /// An arena that was passed as a descriptor has no name: it stays the daemon's for as long as
    /// the connection that passed it.
    pub fn is_current(&self) -> bool {
        if self.is_lost() {
            return false;
        }
        let Some(path) = &self.path else { return true };
        matches!(Identity::at(CWD, path), Ok(Some(identity)) if identity == self.identity)
    }

    /// True if the bytes in the mapping are not those of the daemon's segment: the mapping is
    /// [lost](Self::is_lost), or the name is that of another file by now. Unlike [`Self::is_current`] it ignores a
    /// name that is merely gone: a client's exit removes it, and the daemon restores it. An arena
    /// that was passed as a descriptor has no name that could be.
    pub fn is_replaced(&self) -> bool {
        if self.is_lost() {
            return true;
        }
        let Some(path) = &self.path else { return false };
        matches!(Identity::at(CWD, path), Ok(Some(identity)) if identity != self.identity)
    }

    /// Length of an object with these extents, all of which have to be within the segment.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds::Segment`] for the first extent that is not, and [`OutOfBounds::Buffer`] for
    /// extents that together are longer than the segment.
    pub fn measure(&self, extents: &[Extent]) -> Result<ByteSize, OutOfBounds> {
        let segment = self.capacity();
        let mut object: u64 = 0;
        for extent in extents {
            if !self.mapping.contains(*extent) {
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

    /// Address of an extent's first byte in this process, or `None` if any byte of it is outside.
    ///
    /// The bytes may change at any time: see [`kvlease_sys::copy`] before following the pointer.
    pub fn locate(&self, extent: Extent) -> Option<*const u8> {
        self.mapping.locate(extent)
    }

    /// The extents, to be read in place for as long as the values live.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds::Segment`] for the first extent that is outside.
    pub fn in_place(&self, extents: &[Extent]) -> Result<Vec<MappedExtent>, OutOfBounds> {
        let segment = self.capacity();
        let mapped = extents.iter().map(|extent| {
            let mapped = MappedExtent::new(&self.mapping, *extent);
            mapped.ok_or(OutOfBounds::Segment { extent: *extent, segment })
        });
        mapped.collect()
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
        digest: Option<&mut Digest>,
    ) -> Result<(), OutOfBounds> {
        let whole = into.len();
        self.copy_piece(extents, from, into, whole, digest)
    }

    /// Copies what follows an object's first `from` bytes into the parts, until all are full; as
    /// [`Self::copy_part`] does for one. Returns the end of what was copied.
    ///
    /// # Errors
    ///
    /// Those of [`Self::copy_part`]. Some of the parts may be full then.
    pub fn copy_parts<'a>(
        &self,
        extents: &[Extent],
        mut from: u64,
        parts: impl Iterator<Item = &'a mut [u8]>,
        mut digest: Option<&mut Digest>,
    ) -> Result<u64, OutOfBounds> {
        // No longer than the mapping, which is in memory.
        let whole = self.measure(extents)?.bytes().saturating_sub(from) as usize;
        for part in parts {
            let len = part.len();
            self.copy_piece(extents, from, part, whole, digest.as_deref_mut())?;
            from += len as u64;
        }
        Ok(from)
    }

    fn copy_piece(
        &self,
        extents: &[Extent],
        from: u64,
        into: &mut [u8],
        whole: usize,
        mut digest: Option<&mut Digest>,
    ) -> Result<(), OutOfBounds> {
        let part = self.part(extents, from, into.len() as u64)?;
        let mut rest = into;
        for extent in part {
            let (into, after) = rest.split_at_mut(extent.len.bytes() as usize);
            self.mapping.copy_out_piece(extent, into, whole, digest.as_deref_mut());
            rest = after;
        }
        Ok(())
    }

    /// Takes the bytes after an object's first `from` bytes into `digest`.
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
            self.mapping.digest(extent, digest);
        }
        Ok(())
    }

    /// The error that [`Self::copy_part`] would return.
    pub(crate) fn check_part(
        &self,
        extents: &[Extent],
        from: u64,
        len: u64,
    ) -> Result<(), OutOfBounds> {
        self.part(extents, from, len).map(drop)
    }

    /// Extents of the `len` bytes that follow an object's first `from` bytes.
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
            // The bytes before the part come off the front, those behind it off the end.
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
    /// The bytes are those of the object only if its lease was valid until the copy was done.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`] unless every extent is inside and the lengths agree. Then nothing was copied.
    pub fn copy_out(&self, extents: &[Extent], into: &mut [u8]) -> Result<(), OutOfBounds> {
        self.check_len(extents, into.len())?;
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
        self.check_len(extents, into.len())?;
        let mut digest = Digest::new();
        self.copy_part(extents, 0, into, Some(&mut digest))?;
        Ok(digest.finish())
    }

    fn check_len(&self, extents: &[Extent], len: usize) -> Result<(), OutOfBounds> {
        let (object, buffer) = (self.measure(extents)?, ByteSize::new(len as u64));
        match object == buffer {
            true => Ok(()),
            false => Err(OutOfBounds::Buffer { object, buffer }),
        }
    }
}

/// Properties of an open file.
struct Inspected {
    /// 0 if it is not a regular file.
    len: usize,
    identity: Identity,
    owner: u32,
}

fn inspect(file: impl AsFd) -> io::Result<Inspected> {
    let stat = fstat(file)?;
    let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    let len = usize::try_from(stat.st_size).unwrap_or(0);
    let identity = Identity::of_stat(&stat);
    Ok(Inspected { len: if is_file { len } else { 0 }, identity, owner: stat.st_uid })
}

fn foreign(owner: u32, path: &Path) -> io::Error {
    let text = format!(
        "the segment belongs to a user who is not known to run the daemon: set kvlease_daemon_uid \
         if that user does, uid=`{owner}` path=`{}`",
        path.display()
    );
    io::Error::new(io::ErrorKind::PermissionDenied, text)
}
