//! Both copies of the superblock.

use std::{fs::File, io, os::unix::fs::FileExt, path::Path};

use kvlease_sys::IoBuffer;

use super::directory::FILE_NAME;
use crate::{
    error::NvmeError,
    fingerprint::Secret,
    format::superblock::{COPIES_AT, Found, Superblock},
    geometry::Geometry,
};

/// Reads the superblock; `None` if the file is new, or its making was cut off.
pub(super) fn read(
    path: &Path,
    file: &File,
    block: &mut IoBuffer,
) -> Result<Option<Superblock>, NvmeError> {
    let metadata = file.metadata().map_err(NvmeError::io(path, "looking at the file"))?;
    if metadata.len() == 0 {
        return Ok(None);
    }
    let mut is_empty = true;
    for at in COPIES_AT {
        match file.read_exact_at(block, at) {
            Ok(()) => {}
            // A tier's file has its length before it has a superblock.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(NvmeError::Foreign { file: path.join(FILE_NAME) });
            }
            Err(error) => return Err(NvmeError::io(path, "reading the superblock")(error)),
        }
        match Superblock::decode(block) {
            Found::Superblock(superblock) => return Ok(Some(superblock)),
            Found::OtherVersion(found) => {
                return Err(NvmeError::other_version(path.join(FILE_NAME), found));
            }
            Found::Empty => {}
            Found::Other => is_empty = false,
        }
    }
    if is_empty { Ok(None) } else { Err(NvmeError::Foreign { file: path.join(FILE_NAME) }) }
}

/// Writes both copies, one after the other, if they are not these already.
pub(super) fn write(
    path: &Path,
    file: &File,
    kept: Option<Superblock>,
    geometry: &Geometry,
    block: &mut IoBuffer,
) -> Result<Superblock, NvmeError> {
    let segments = u64::from(geometry.segments);
    let superblock = match kept {
        Some(kept) => Superblock { segments, ..kept },
        None => Superblock {
            segment_len: geometry.segment_len,
            segments,
            store: random(path)?,
            secret: Secret::new(random(path)?),
        },
    };
    for at in COPIES_AT {
        let is_there = file.read_exact_at(block, at).is_ok()
            && Superblock::decode(block) == Found::Superblock(superblock);
        if !is_there {
            superblock.encode(block);
            file.write_all_at(block, at).map_err(NvmeError::io(path, "writing the superblock"))?;
            file.sync_all().map_err(NvmeError::io(path, "syncing the superblock"))?;
        }
    }
    Ok(superblock)
}

fn random(path: &Path) -> Result<[u8; 16], NvmeError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| NvmeError::io(path, "drawing a random number")(error.into()))?;
    Ok(bytes)
}
