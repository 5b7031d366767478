//! Opening of the tier's file: every condition that it needs is probed, with a clear word.

mod capacity;
mod directory;
mod superblocks;

use std::{fs::File, path::PathBuf};

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

/// Opens the file, and makes it if it is not there.
pub(crate) fn open(config: &NvmeConfig) -> Result<OpenFile, NvmeError> {
    let path = config.path.as_path();
    let mut warnings = Vec::new();
    let file = directory::open_locked(path)?;
    directory::warn_of_file_system(path, &file, &mut warnings);
    let mut block = IoBuffer::new(BLOCK).map_err(NvmeError::io(path, "allocating memory"))?;
    let found = superblocks::read(path, &file, &mut block)?;
    let geometry = capacity::choose(config, &file, found.as_ref(), &mut warnings)?;
    capacity::reserve(path, &file, &geometry, &mut warnings)?;
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
