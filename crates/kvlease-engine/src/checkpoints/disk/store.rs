//! The directory: what a start finds in it, and how files leave.

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::{DirBuilderExt, FileExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use kvlease_types::{ByteSize, Checksum};

use super::{
    config::ShardDisk,
    format::{HEADER_LEN, Header},
};

/// Permissions of the directory.
const MODE: u32 = 0o700;

const WHOLE: &str = "shard";
const UNFINISHED: &str = "part";

/// Directory of the files.
#[derive(Debug)]
pub(in super::super) struct Disk {
    dir: PathBuf,
    /// Number of the next file.
    next: AtomicU64,
}

/// Shard in a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) struct StoredFile {
    /// Number of the file.
    pub(in super::super) id: u64,
    pub(in super::super) len: ByteSize,
    pub(in super::super) checksum: Checksum,
}

/// File that a start found.
#[derive(Debug)]
pub(in super::super) struct Found {
    pub(in super::super) file: StoredFile,
    pub(in super::super) header: Header,
}

impl Disk {
    /// Takes the directory. Removes what a daemon that ended had not finished, and files that are not
    /// whole.
    pub(in super::super) fn open(config: &ShardDisk) -> io::Result<(Self, Vec<Found>)> {
        match DirBuilder::new().mode(MODE).create(&config.path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let (mut found, mut next) = (Vec::new(), 0);
        for entry in fs::read_dir(&config.path)? {
            let path = entry?.path();
            let Some(id) = number(&path) else { continue };
            next = next.max(id + 1);
            match read_header(&path)? {
                Some(header) => {
                    let Header { len, checksum, .. } = header;
                    found.push(Found { file: StoredFile { id, len, checksum }, header });
                }
                None => {
                    tracing::info!(file = %path.display(), "removed a shard that is not whole");
                    fs::remove_file(&path)?;
                }
            }
        }
        Ok((Self { dir: config.path.clone(), next: AtomicU64::new(next) }, found))
    }

    /// Paths of the next file: until it is whole, and from then on. With its number.
    pub(super) fn next_paths(&self) -> (u64, [PathBuf; 2]) {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        (id, [UNFINISHED, WHOLE].map(|extension| self.path(id, extension)))
    }

    pub(super) fn path_of(&self, file: &StoredFile) -> PathBuf {
        self.path(file.id, WHOLE)
    }

    pub(super) fn directory(&self) -> &Path {
        &self.dir
    }

    /// Removes files. A removal is durable once this returns: no file comes back with a reboot.
    pub(in super::super) fn remove(&self, files: &[StoredFile]) {
        for file in files {
            let path = self.path_of(file);
            // It is not there if its file system lost it.
            if let Err(error) = fs::remove_file(&path)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::error!(file = %path.display(), "a shard cannot be removed: {error}");
            }
        }
        if let Err(error) = sync_directory(&self.dir) {
            tracing::error!(directory = %self.dir.display(), "a removal is not durable: {error}");
        }
    }

    fn path(&self, id: u64, extension: &str) -> PathBuf {
        self.dir.join(format!("{id:016x}.{extension}"))
    }
}

/// Makes the names in a directory durable.
pub(super) fn sync_directory(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Number of a file, by its name; `None` for what is no shard's.
fn number(path: &Path) -> Option<u64> {
    let extension = path.extension()?.to_str()?;
    let id = u64::from_str_radix(path.file_stem()?.to_str()?, 16).ok()?;
    [WHOLE, UNFINISHED].contains(&extension).then_some(id)
}

/// Header of a file; `None` if the file is not whole.
fn read_header(path: &Path) -> io::Result<Option<Header>> {
    if path.extension().is_some_and(|extension| extension == UNFINISHED) {
        return Ok(None);
    }
    let file = File::open(path)?;
    let mut block = vec![0; HEADER_LEN as usize];
    if let Err(error) = file.read_exact_at(&mut block, 0) {
        tracing::warn!(file = %path.display(), "the header of a shard cannot be read: {error}");
        return Ok(None);
    }
    let len = file.metadata()?.len();
    Ok(Header::decode(&block)
        .filter(|header| Some(len) == header.len.bytes().checked_add(HEADER_LEN)))
}
