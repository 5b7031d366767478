//! Directory, file and lock.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use kvlease_sys::IoBuffer;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl, fstatfs};

use crate::error::NvmeError;

/// Name of the file in the configured directory.
pub(super) const FILE_NAME: &str = "kvlease.tier";

/// The longest time for which the lock of an ended process is waited for: the kernel ends a ring, which
/// keeps its file, after the process was waited for.
const LOCKED_MAX: Duration = Duration::from_secs(3);

/// Time between two tries.
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// Type of a file system in memory, as `statfs` says it.
const TMPFS: i64 = 0x0102_1994;

/// Type of an older file system in memory.
const RAMFS: i64 = 0x8584_58f6;

/// Type of a file system that lays one over another.
const OVERLAY: i64 = 0x794c_7630;

/// Checks the directory, and that nothing but a file has the name of the file. Returns the path of that.
fn check(path: &Path) -> Result<PathBuf, NvmeError> {
    match path.metadata() {
        Ok(metadata) if !metadata.is_dir() => {
            return Err(NvmeError::NotADirectory { path: path.to_owned() });
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(NvmeError::Missing { path: path.to_owned() });
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(NvmeError::NotADirectory { path: path.to_owned() });
        }
        Err(error) => return Err(NvmeError::io(path, "looking at the directory")(error)),
    }
    let name = path.join(FILE_NAME);
    if name.symlink_metadata().is_ok_and(|metadata| !metadata.is_file()) {
        return Err(NvmeError::Foreign { file: name });
    }
    Ok(name)
}

/// Opens the file to look at it; `None` if it is not there.
pub(super) fn open_to_look(path: &Path) -> Result<Option<File>, NvmeError> {
    let name = check(path)?;
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    match options.open(&name) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(NvmeError::io(path, "opening the file")(error)),
    }
}

/// Opens the file and locks it.
pub(super) fn open_locked(path: &Path) -> Result<File, NvmeError> {
    let name = check(path)?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    let file = options.open(&name).map_err(NvmeError::io(path, "opening the file"))?;
    lock(path, &file)?;
    Ok(file)
}

/// Locks the file. A process that was killed may have it locked for a moment longer than it lives.
fn lock(path: &Path, file: &File) -> Result<(), NvmeError> {
    let started = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if started.elapsed() < LOCKED_MAX => {
                thread::sleep(LOCK_PAUSE);
            }
            Err(TryLockError::WouldBlock) => {
                return Err(NvmeError::InUse { path: path.to_owned() });
            }
            Err(TryLockError::Error(error)) => {
                return Err(NvmeError::io(path, "locking the file")(error));
            }
        }
    }
}

/// Warns of file systems that work, but are not what a tier is for.
pub(super) fn warn_of_file_system(path: &Path, file: &File, warnings: &mut Vec<String>) {
    let why = match fstatfs(file).map(|stat| stat.f_type) {
        Ok(TMPFS | RAMFS) => "in memory (tmpfs): its objects do not survive a reboot",
        Ok(OVERLAY) => {
            "that is an overlay, as of a container's image: objects are lost with the container"
        }
        _ => return,
    };
    warnings.push(format!(
        "`tier.nvme.path` is on a file system {why}: set a directory on a local disk, path=`{}`",
        path.display()
    ));
}

/// Makes transfers go around the page cache. Returns the reason if they cannot.
pub(super) fn go_direct(
    path: &Path,
    file: &File,
    block: &mut IoBuffer,
    warnings: &mut Vec<String>,
) -> Option<String> {
    let flags = fcntl_getfl(file).unwrap_or(OFlags::empty());
    let tried = fcntl_setfl(file, flags | OFlags::DIRECT)
        .map_err(io::Error::from)
        .and_then(|()| file.read_exact_at(block, 0));
    let error = tried.err()?;
    // The flag may have been taken all the same.
    let _ = fcntl_setfl(file, flags.difference(OFlags::DIRECT));
    warnings.push(format!(
        "`tier.nvme.path` is on a file system without direct I/O, so the page cache holds a second \
         copy of what is moved: set a directory on ext4 or XFS, path=`{}`: {error}",
        path.display()
    ));
    Some(format!("no direct I/O: {error}"))
}
