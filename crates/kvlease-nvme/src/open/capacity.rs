//! Length of the file: chosen, and reserved.

use std::{fs::File, os::unix::fs::MetadataExt, path::Path};

use kvlease_types::ByteSize;
use rustix::{
    fs::{FallocateFlags, fallocate, fstatvfs},
    io::Errno,
};

use crate::{
    config::NvmeConfig,
    error::NvmeError,
    format::{SEGMENTS_AT, superblock::Superblock},
    geometry::{CAPACITY_MIN, Geometry},
};

/// The largest capacity that is chosen by default.
const AUTO_MAX: ByteSize = ByteSize::gib(4 << 10);

/// Unit of `st_blocks`, in bytes.
const STAT_BLOCK: u64 = 512;

/// Chooses the division of the file. That of an existing file stays as far as it can.
pub(super) fn choose(
    config: &NvmeConfig,
    file: &File,
    found: Option<&Superblock>,
    warnings: &mut Vec<String>,
) -> Result<Geometry, NvmeError> {
    if let Some(found) = found
        && config.segment.is_none_or(|segment| segment.bytes() == found.segment_len)
    {
        let len = SEGMENTS_AT + found.segments * found.segment_len;
        let capacity = config.capacity.unwrap_or(ByteSize::new(len));
        let geometry = Geometry::with_segments_of(found.segment_len, capacity);
        if let Some(geometry) = geometry.filter(|geometry| keeps(geometry, found)) {
            return Ok(geometry);
        }
    }
    let capacity = match config.capacity {
        Some(capacity) => capacity,
        None => half_of_free(&config.path, file)?,
    };
    let too_small = NvmeError::CapacityTooSmall { capacity };
    let geometry = Geometry::new(capacity, config.segment).ok_or(too_small)?;
    if found.is_some() {
        warnings.push(format!(
            "`tier.nvme.capacity` is smaller than the existing file, which starts anew without \
             objects: set at least the length of the file to keep them, capacity=`{capacity}`"
        ));
    }
    Ok(geometry)
}

/// Whether the objects of an existing file stay. A file that gets shorter would lose any part of its
/// log, tombstones among it.
pub(super) fn keeps(geometry: &Geometry, found: &Superblock) -> bool {
    geometry.segment_len == found.segment_len && u64::from(geometry.segments) >= found.segments
}

fn half_of_free(path: &Path, file: &File) -> Result<ByteSize, NvmeError> {
    let Some(free) = free(path, file)? else {
        return Err(NvmeError::CapacityNeeded { path: path.to_owned() });
    };
    let half = (free.bytes() / 2).min(AUTO_MAX.bytes());
    let unit = if half >= ByteSize::gib(1).bytes() { ByteSize::gib(1) } else { ByteSize::mib(1) };
    let capacity = ByteSize::new(half - half % unit.bytes());
    if capacity < CAPACITY_MIN {
        let path = path.to_owned();
        return Err(match free < CAPACITY_MIN {
            true => NvmeError::TooLittleFree { free, path },
            false => NvmeError::HalfTooSmall { free, path },
        });
    }
    Ok(capacity)
}

/// Room for the file, with what it has already; `None` if the file system does not say.
fn free(path: &Path, file: &File) -> Result<Option<ByteSize>, NvmeError> {
    let metadata = file.metadata().map_err(NvmeError::io(path, "looking at the file"))?;
    let stat = fstatvfs(file)
        .map_err(|errno| NvmeError::io(path, "looking at the file system")(errno.into()))?;
    if stat.f_blocks == 0 {
        return Ok(None);
    }
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    Ok(Some(ByteSize::new(free.saturating_add(metadata.blocks() * STAT_BLOCK))))
}

/// Checks that the file system has room for the file; `None` if it does not say how much it has free.
pub(super) fn check_room(
    config: &NvmeConfig,
    file: &File,
    geometry: &Geometry,
) -> Result<Option<ByteSize>, NvmeError> {
    let free = free(&config.path, file)?;
    match free {
        Some(free) if free.bytes() < geometry.file_len() => Err(no_room(config, geometry, free)),
        free => Ok(free),
    }
}

fn no_room(config: &NvmeConfig, geometry: &Geometry, free: ByteSize) -> NvmeError {
    let path = config.path.clone();
    if free < CAPACITY_MIN {
        return NvmeError::TooLittleFree { free, path };
    }
    let capacity = config.capacity.unwrap_or(ByteSize::new(geometry.file_len()));
    NvmeError::NoRoom { capacity, free, path }
}

/// Gives the file its length, and reserves its room.
pub(super) fn reserve(
    config: &NvmeConfig,
    file: &File,
    geometry: &Geometry,
    warnings: &mut Vec<String>,
) -> Result<(), NvmeError> {
    let path = config.path.as_path();
    let len = geometry.file_len();
    let capacity = ByteSize::new(len);
    let free = check_room(config, file, geometry)?;
    match fallocate(file, FallocateFlags::empty(), 0, len) {
        Ok(()) => {}
        Err(Errno::NOSPC) => return Err(no_room(config, geometry, free.unwrap_or_default())),
        Err(Errno::DQUOT) => return Err(NvmeError::Quota { capacity, path: path.to_owned() }),
        Err(Errno::OPNOTSUPP) => warnings.push(format!(
            "`tier.nvme.path` is on a file system that cannot reserve room, so a store fails when \
             others fill it: set a directory on ext4 or XFS, path=`{}`",
            path.display()
        )),
        Err(errno) => return Err(NvmeError::io(path, "reserving room")(errno.into())),
    }
    file.set_len(len).map_err(NvmeError::io(path, "setting the file's length"))
}
