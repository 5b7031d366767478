//! The arena's file: built once, whole before it has its public name, reopened ever after.

use std::{fs::File, io, os::fd::AsFd, path::Path};

use kvlease_types::ByteSize;
use rustix::{
    fs::{
        AtFlags, FileType, Gid, Mode, OFlags, Stat, Uid, fchmod, fchown, fstat, ftruncate, linkat,
        openat, statat,
    },
    io::Errno,
    path::Arg,
};

use crate::{ArenaError, SegmentOptions, directory::Directory, manifest};

/// The unit of an arena's size.
pub(crate) const PAGE: u64 = 4096;
/// The arena's second name, in the private directory.
pub(crate) const PRIVATE_LINK: &str = "arena";
/// An arena that is being built.
pub(crate) const UNDER_CONSTRUCTION: &str = "arena.new";

/// Which file it is, whatever its names: two names with one identity are the same bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Identity {
    /// The device number of its file system.
    pub device: u64,
    /// Its inode number there.
    pub inode: u64,
}

impl Identity {
    pub(crate) fn of_stat(stat: &Stat) -> Self {
        Self { device: stat.st_dev, inode: stat.st_ino }
    }

    /// What `name` in `dir` is, without following a symbolic link; `None` if there is nothing.
    pub(crate) fn at(dir: impl AsFd, name: impl Arg) -> io::Result<Option<Self>> {
        match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Self::of_stat(&stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// The open file, and what became known on the way.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) file: File,
    pub(crate) identity: Identity,
    pub(crate) capacity: ByteSize,
    /// The size that somebody had cut it to.
    pub(crate) shrunk_to: Option<ByteSize>,
}

/// Reopens the arena that an earlier daemon left, or `None` if there is none. One that was cut
/// shorter meanwhile gets its size back, with zeros for the bytes that are lost.
pub(crate) fn reopen(
    directory: &Directory,
    options: &SegmentOptions,
) -> Result<Option<Segment>, ArenaError> {
    let path = directory.private_path().join(PRIVATE_LINK);
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file: File = match openat(directory.private(), PRIVATE_LINK, flags, Mode::empty()) {
        Ok(file) => file.into(),
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(ArenaError::io("reopen the arena", path)(errno)),
    };
    let stat = fstat(&file).map_err(ArenaError::io("look at the arena", &path))?;
    let found = u64::try_from(stat.st_size).unwrap_or(0);
    let whole = manifest::stated_capacity(directory, stat.st_ino)?.map_or(0, ByteSize::bytes);
    let len = found.max(whole);
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || len < PAGE {
        let fault = "holds an arena that is empty or no file: stop all clients and remove it";
        return Err(ArenaError::Untrusted { path, fault });
    }
    let shrunk_to = (found < len).then_some(ByteSize::new(found));
    let capacity = ByteSize::new(len);
    let segment = Segment { file, identity: Identity::of_stat(&stat), capacity, shrunk_to };
    if let Some(requested) = options.capacity
        && whole_pages(requested) != len
    {
        return Err(ArenaError::CapacityDiffers {
            existing: segment.capacity,
            requested,
            public: directory.public_path().to_owned(),
            private: directory.private_path().to_owned(),
        });
    }
    refuse_foreign_name(directory, Some(segment.identity))?;
    if shrunk_to.is_some() {
        ftruncate(&segment.file, len).map_err(ArenaError::io("give the arena its size", &path))?;
    }
    set_attributes(&segment.file, options, &path)?;
    link_public(directory, segment.identity)?;
    Ok(Some(segment))
}

/// What a new arena would have: the size asked for, in whole pages.
pub(crate) fn capacity_to_create(options: &SegmentOptions) -> Result<ByteSize, ArenaError> {
    let capacity = options.capacity.unwrap_or(options.create_capacity);
    match whole_pages(capacity) {
        0 => Err(ArenaError::CapacityTooSmall { capacity }),
        len => Ok(ByteSize::new(len)),
    }
}

/// Builds the file under a temporary name; nothing has the public name before
/// [`publish`].
pub(crate) fn build(
    directory: &Directory,
    options: &SegmentOptions,
    capacity: ByteSize,
) -> Result<Segment, ArenaError> {
    refuse_foreign_name(directory, None)?;
    directory.discard(UNDER_CONSTRUCTION)?;
    let path = directory.private_path().join(UNDER_CONSTRUCTION);
    let file = directory.create(UNDER_CONSTRUCTION);
    let file = file.map_err(ArenaError::io("build the arena", &path))?;
    ftruncate(&file, capacity.bytes()).map_err(ArenaError::io("set the arena's size", &path))?;
    set_attributes(&file, options, &path)?;
    let stat = fstat(&file).map_err(ArenaError::io("look at the arena", &path))?;
    Ok(Segment { file, identity: Identity::of_stat(&stat), capacity, shrunk_to: None })
}

/// Gives a built file its two names: the private one first, so that whoever finds the public one
/// can rely on the other.
pub(crate) fn publish(directory: &Directory, segment: &Segment) -> Result<(), ArenaError> {
    directory
        .rename(UNDER_CONSTRUCTION, PRIVATE_LINK)
        .map_err(ArenaError::io("name the arena", directory.private_path().join(PRIVATE_LINK)))?;
    let linked = link_public(directory, segment.identity);
    if linked.is_err() {
        directory.discard(PRIVATE_LINK)?;
    }
    linked
}

fn link_public(directory: &Directory, identity: Identity) -> Result<(), ArenaError> {
    let path = directory.public_path();
    let flags = AtFlags::empty();
    match linkat(directory.private(), PRIVATE_LINK, directory.public(), directory.name(), flags) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => refuse_foreign_name(directory, Some(identity)),
        Err(errno) => Err(ArenaError::io("give the arena its public name", path)(errno)),
    }
}

/// The public name must be free, or be `own`.
fn refuse_foreign_name(directory: &Directory, own: Option<Identity>) -> Result<(), ArenaError> {
    let path = directory.public_path();
    let there = Identity::at(directory.public(), directory.name())
        .map_err(ArenaError::io("look at the public name", path))?;
    if there.is_some() && there != own {
        return Err(ArenaError::NameTaken { path: path.to_owned() });
    }
    Ok(())
}

/// Sets owner and mode. The mode comes last, since a change of the owner may clear bits of it.
fn set_attributes(file: &File, options: &SegmentOptions, path: &Path) -> Result<(), ArenaError> {
    let refused = |key, value: String| {
        move |errno: Errno| ArenaError::Attribute { key, value, source: errno.into() }
    };
    let stat = fstat(file).map_err(ArenaError::io("look at the arena", path))?;
    if let Some(uid) = options.uid.filter(|uid| *uid != stat.st_uid) {
        fchown(file, Some(Uid::from_raw(uid)), None)
            .map_err(refused("segment_uid", uid.to_string()))?;
    }
    if let Some(gid) = options.gid.filter(|gid| *gid != stat.st_gid) {
        fchown(file, None, Some(Gid::from_raw(gid)))
            .map_err(refused("segment_gid", gid.to_string()))?;
    }
    fchmod(file, Mode::from_raw_mode(options.mode))
        .map_err(refused("segment_mode", format!("{:o}", options.mode)))
}

fn whole_pages(capacity: ByteSize) -> u64 {
    capacity.bytes() / PAGE * PAGE
}
