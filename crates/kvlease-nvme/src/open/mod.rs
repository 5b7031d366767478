//! Opening of the tier's file: every condition that it needs is probed, with a clear word.

mod capacity;
mod directory;
mod superblocks;

use std::{fs::File, io, path::PathBuf};

use kvlease_sys::IoBuffer;

use crate::{
    config::NvmeConfig, error::NvmeError, fingerprint::Secret, format::BLOCK, geometry::Geometry,
};

/// File that is locked, of full length, and has superblocks.
#[derive(Debug)]
pub(crate) struct OpenFile {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
    pub(crate) geometry: Geometry,
    pub(crate) secret: Secret,
    /// Why transfers go through the page cache, if they do.
    pub(crate) not_direct: Option<String>,
    /// Advice to the operator.
    pub(crate) warnings: Vec<String>,
}

/// Checks that the file can be opened, or made, as it is configured, beside a daemon that has it open as well. Nothing is
/// changed. `make` makes a file in the directory that has no name; it is returned, with advice to the operator.
pub(crate) fn probe(
    config: &NvmeConfig,
    make: impl FnOnce() -> io::Result<File>,
) -> Result<(File, Vec<String>), NvmeError> {
    let path = config.path.as_path();
    let mut warnings = Vec::new();
    let existing = directory::open_to_look(path)?;
    let made = make().map_err(NvmeError::io(path, "making a file"))?;
    directory::warn_of_file_system(path, &made, &mut warnings);
    let mut block = IoBuffer::new(BLOCK).map_err(NvmeError::io(path, "allocating memory"))?;
    let file = existing.as_ref().unwrap_or(&made);
    let found = superblocks::read(path, file, &mut block)?;
    let geometry = capacity::choose(config, file, found.as_ref(), &mut warnings)?;
    capacity::check_room(config, file, &geometry)?;
    Ok((made, warnings))
}

/// Opens the file, and makes it if it is not there.
pub(crate) fn open(config: &NvmeConfig) -> Result<OpenFile, NvmeError> {
    let path = config.path.as_path();
    let mut warnings = Vec::new();
    let file = directory::open_locked(path)?;
    directory::warn_of_file_system(path, &file, &mut warnings);
    let mut block = IoBuffer::new(BLOCK).map_err(NvmeError::io(path, "allocating memory"))?;
    let found = superblocks::read(path, &file, &mut block)?;
    let geometry = capacity::choose(config, &file, found.as_ref(), &mut warnings)?;
    capacity::reserve(config, &file, &geometry, &mut warnings)?;
    let kept = found.filter(|found| capacity::keeps(&geometry, found));
    let superblock = superblocks::write(path, &file, kept, &geometry, &mut block)?;
    let not_direct = directory::go_direct(path, &file, &mut block, &mut warnings);
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    Ok(OpenFile {
        path: path.join(directory::FILE_NAME),
        file,
        geometry,
        secret: superblock.secret,
        not_direct,
        warnings,
    })
}
