//! File of the arena: built once, whole before it gets its public name, reopened ever after.

use std::{fs::File, path::Path};

use kvlease_sys::{Identity, PAGE};
use kvlease_types::ByteSize;
use rustix::{
    fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid, fchmod, fchown, fstat, ftruncate, linkat},
    io::Errno,
};

use crate::{
    ArenaError, SegmentOptions,
    directory::{ARENA, ARENA_NEW, Directory},
    manifest,
};

/// Open file of the arena, with its properties.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) file: File,
    pub(crate) identity: Identity,
    pub(crate) capacity: ByteSize,
    /// The size that it was truncated to before it was reopened.
    pub(crate) shrunk_to: Option<ByteSize>,
}

/// Reopens the arena that an earlier daemon left; `None` if there is none. An arena that was
/// truncated meanwhile gets its size back, with zeros for the lost bytes.
pub(crate) fn reopen(
    directory: &Directory,
    options: &SegmentOptions,
) -> Result<Option<Segment>, ArenaError> {
    let path = directory.private_path().join(ARENA);
    let file = match directory.open(ARENA, OFlags::RDWR) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(ArenaError::io("reopen the arena", path)(errno)),
    };
    let stat = fstat(&file).map_err(ArenaError::io("look at the arena", &path))?;
    // The manifest knows the size that the file had before a truncation.
    let found = u64::try_from(stat.st_size).unwrap_or(0);
    let whole = manifest::stated_capacity(directory, stat.st_ino)?.map_or(0, ByteSize::bytes);
    let len = found.max(whole);
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || len < PAGE {
        let fault =
            "holds an arena that is empty or not a regular file: stop all clients and remove it";
        return Err(ArenaError::Untrusted { path, fault });
    }
    // Nothing is changed before every check has passed.
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

/// Size of a new arena: the configured one, in whole pages.
pub(crate) fn capacity_to_create(options: &SegmentOptions) -> Result<ByteSize, ArenaError> {
    let capacity = options.capacity.unwrap_or(options.create_capacity);
    match whole_pages(capacity) {
        0 => Err(ArenaError::CapacityTooSmall { capacity }),
        len => Ok(ByteSize::new(len)),
    }
}

/// Builds the file under a temporary name. Only [`publish`] gives it the public one.
pub(crate) fn build(
    directory: &Directory,
    options: &SegmentOptions,
    capacity: ByteSize,
) -> Result<Segment, ArenaError> {
    refuse_foreign_name(directory, None)?;
    directory.discard(ARENA_NEW)?;
    let path = directory.private_path().join(ARENA_NEW);
    let file = directory.create(ARENA_NEW);
    let file = file.map_err(ArenaError::io("build the arena", &path))?;
    ftruncate(&file, capacity.bytes()).map_err(ArenaError::io("set the arena's size", &path))?;
    set_attributes(&file, options, &path)?;
    let stat = fstat(&file).map_err(ArenaError::io("look at the arena", &path))?;
    Ok(Segment { file, identity: Identity::of_stat(&stat), capacity, shrunk_to: None })
}

/// Gives a built file its two names. The private one comes first: where the public one exists, the
/// private one does too.
pub(crate) fn publish(directory: &Directory, segment: &Segment) -> Result<(), ArenaError> {
    directory
        .rename(ARENA_NEW, ARENA)
        .map_err(ArenaError::io("name the arena", directory.private_path().join(ARENA)))?;
    let linked = link_public(directory, segment.identity);
    if linked.is_err() {
        directory.discard(ARENA)?;
    }
    linked
}

fn link_public(directory: &Directory, identity: Identity) -> Result<(), ArenaError> {
    let path = directory.public_path();
    let flags = AtFlags::empty();
    match linkat(directory.private(), ARENA, directory.public(), directory.name(), flags) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => refuse_foreign_name(directory, Some(identity)),
        Err(errno) => Err(ArenaError::io("give the arena its public name", path)(errno)),
    }
}

/// Fails unless the public name is free or that of `own`.
fn refuse_foreign_name(directory: &Directory, own: Option<Identity>) -> Result<(), ArenaError> {
    let path = directory.public_path();
    let there = Identity::at(directory.public(), directory.name())
        .map_err(ArenaError::io("look at the public name", path))?;
    if there.is_some() && there != own {
        return Err(ArenaError::NameTaken { path: path.to_owned() });
    }
    Ok(())
}

/// Sets owner and mode. The mode comes last, since a change of the owner may clear some of its bits.
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
