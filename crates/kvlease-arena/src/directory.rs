//! Private directory beside the public name, and the lock that makes one daemon its owner.
//!
//! `<dir>/.kvlease.<name>/` has mode 0700 and lies on the same file system as the public name, so
//! that the arena's second name can live in it as a hard link:
//!
//! | file | content |
//! |---|---|
//! | `lock` | locked by the running daemon with `flock`; its process id |
//! | `arena` | second name of the arena's inode |
//! | `arena.new` | arena under construction; a killed first start leaves one behind |
//! | `horizon` | lease fence: until when each region may be leased |
//! | `horizon.new` | lease fence under construction |
//! | `record` | manifest: the objects in the arena |
//! | `record.new` | manifest under construction |

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

use kvlease_types::SegmentName;
use rustix::{
    fs::{
        AtFlags, CWD, FlockOperation, Mode, OFlags, flock, fstat, mkdirat, openat, renameat,
        unlinkat,
    },
    io::Errno,
    process::geteuid,
};

use crate::{ArenaError, SegmentOptions};

const PRIVATE_PREFIX: &str = ".kvlease.";
const PRIVATE_MODE: Mode = Mode::RWXU;

/// Second name of the arena.
pub(crate) const ARENA: &str = "arena";
/// Arena under construction.
pub(crate) const ARENA_NEW: &str = "arena.new";
/// Lease fence.
pub(crate) const LEASE_FENCE: &str = "horizon";
/// Lease fence under construction.
pub(crate) const LEASE_FENCE_NEW: &str = "horizon.new";
/// Manifest.
pub(crate) const MANIFEST: &str = "record";
/// Manifest under construction.
pub(crate) const MANIFEST_NEW: &str = "record.new";
const LOCK: &str = "lock";

/// All files of the private directory.
const PRIVATE_FILES: [&str; 7] =
    [ARENA_NEW, ARENA, LEASE_FENCE, LEASE_FENCE_NEW, MANIFEST, MANIFEST_NEW, LOCK];

/// Open directories of a segment, and the lock. Dropping it frees the lock.
#[derive(Debug)]
pub(crate) struct Directory {
    public: OwnedFd,
    private: OwnedFd,
    name: SegmentName,
    public_path: PathBuf,
    private_path: PathBuf,
    /// True if this start made the private directory.
    made: bool,
    _lock: File,
}

impl Directory {
    /// Opens or makes the private directory, and locks it.
    pub(crate) fn own(options: &SegmentOptions) -> Result<Self, ArenaError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let public = openat(CWD, &options.dir, flags, Mode::empty())
            .map_err(ArenaError::io("open the shared memory directory", &options.dir))?;
        let private_path = options.dir.join(format!("{PRIVATE_PREFIX}{}", options.name));
        let (private, made) = open_private(&public, &private_path)?;
        let lock = lock(&private, &private_path, &options.name)?;
        Ok(Self {
            public,
            private,
            public_path: options.dir.join(options.name.as_str()),
            name: options.name.clone(),
            private_path,
            made,
            _lock: lock,
        })
    }

    /// The directory of the public name.
    pub(crate) fn public(&self) -> impl AsFd + '_ {
        self.public.as_fd()
    }

    /// The private directory.
    pub(crate) fn private(&self) -> impl AsFd + '_ {
        self.private.as_fd()
    }

    /// The public name within [`Self::public`].
    pub(crate) fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The public name, for messages.
    pub(crate) fn public_path(&self) -> &Path {
        &self.public_path
    }

    /// The private directory, for messages.
    pub(crate) fn private_path(&self) -> &Path {
        &self.private_path
    }

    /// Removes all files after a failed start, unless the private directory is an earlier daemon's.
    /// Errors are ignored: the failure to report is that of the start.
    pub(crate) fn abandon(self) {
        if !self.made {
            return;
        }
        for file in PRIVATE_FILES {
            let _ = unlinkat(&self.private, file, AtFlags::empty());
        }
        if let Some(name) = self.private_path.file_name() {
            let _ = unlinkat(&self.public, name, AtFlags::REMOVEDIR);
        }
    }

    /// Makes a private file. Fails if it exists.
    pub(crate) fn create(&self, file: &str) -> Result<File, Errno> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(openat(&self.private, file, flags, Mode::RUSR | Mode::WUSR)?.into())
    }

    /// Renames a private file. A file that had the new name is replaced.
    pub(crate) fn rename(&self, from: &str, to: &str) -> Result<(), Errno> {
        renameat(&self.private, from, &self.private, to)
    }

    /// Removes a private file, if it exists.
    pub(crate) fn discard(&self, file: &str) -> Result<(), ArenaError> {
        match unlinkat(&self.private, file, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => {
                Err(ArenaError::io("remove a leftover", self.private_path.join(file))(errno))
            }
        }
    }
}

/// Opens the private directory. Returns true if it had to be made.
fn open_private(public: &OwnedFd, path: &Path) -> Result<(OwnedFd, bool), ArenaError> {
    let name = path.file_name().expect("the path ends with the prefix and the segment's name");
    let made = match mkdirat(public, name, PRIVATE_MODE) {
        Ok(()) => true,
        Err(Errno::EXIST) => false,
        Err(errno) => return Err(ArenaError::io("make the private directory", path)(errno)),
    };
    let untrusted = |fault| ArenaError::Untrusted { path: path.to_owned(), fault };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let private = openat(public, name, flags, Mode::empty()).map_err(|errno| match errno {
        Errno::NOTDIR | Errno::LOOP => untrusted("is not a directory: remove that file"),
        _ => ArenaError::io("open the private directory", path)(errno),
    })?;
    let stat = fstat(&private).map_err(ArenaError::io("look at the private directory", path))?;
    if stat.st_uid != geteuid().as_raw() {
        return Err(untrusted("belongs to another user: remove it or choose another name"));
    }
    if !(Mode::from_raw_mode(stat.st_mode) - PRIVATE_MODE).is_empty() {
        return Err(untrusted("is open to other users: `chmod 700` it if they left nothing there"));
    }
    Ok((private, made))
}

fn lock(private: &OwnedFd, path: &Path, name: &SegmentName) -> Result<File, ArenaError> {
    let path = path.join(LOCK);
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file: File = openat(private, LOCK, flags, Mode::RUSR | Mode::WUSR)
        .map_err(ArenaError::io("open the lock", &path))?
        .into();
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            let mut text = String::new();
            // The owner writes its id right after it locks: the file may still be empty.
            let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
            return Err(ArenaError::InUse { name: name.to_string(), pid: pid.unwrap_or(0) });
        }
        Err(errno) => return Err(ArenaError::io("lock the segment", path)(errno)),
    }
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(ArenaError::io("write the process id into the lock", path))?;
    Ok(file)
}
