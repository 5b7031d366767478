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
//! | `incarnation` | epoch of the daemon that the arena belongs to |
//! | `incarnation.new` | the same under construction |
//! | `longest` | longest lease that may have been granted |
//! | `longest.new` | the same under construction |
//! | `record` | manifest: the objects in the arena |
//! | `record.new` | manifest under construction |

use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

use kvlease_sys::Identity;
use kvlease_types::SegmentName;
use rustix::{
    fs::{
        AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, chmodat, fchmod, flock, fstat,
        mkdirat, openat, renameat, statat, unlinkat,
    },
    io::{Errno, pwrite},
    process::geteuid,
};

use crate::{ArenaError, file_header::HEADER_LEN};

const PRIVATE_PREFIX: &str = ".kvlease.";
const PRIVATE_MODE: Mode = Mode::RWXU;
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// Second name of the arena.
pub(crate) const ARENA: &str = "arena";
/// Arena under construction.
pub(crate) const ARENA_NEW: &str = "arena.new";
/// Lease fence.
pub(crate) const LEASE_FENCE: &str = "horizon";
/// Lease fence under construction.
pub(crate) const LEASE_FENCE_NEW: &str = "horizon.new";
/// Epoch of the daemon that the arena belongs to.
pub(crate) const INCARNATION: &str = "incarnation";
/// The same under construction.
pub(crate) const INCARNATION_NEW: &str = "incarnation.new";
/// Longest lease that may have been granted.
pub(crate) const LONGEST_LEASE: &str = "longest";
/// The same under construction.
pub(crate) const LONGEST_LEASE_NEW: &str = "longest.new";
/// Manifest.
pub(crate) const MANIFEST: &str = "record";
/// Manifest under construction.
pub(crate) const MANIFEST_NEW: &str = "record.new";
const LOCK: &str = "lock";

/// All files of the private directory.
const PRIVATE_FILES: [&str; 11] = [
    ARENA_NEW,
    ARENA,
    INCARNATION,
    INCARNATION_NEW,
    LEASE_FENCE,
    LEASE_FENCE_NEW,
    LONGEST_LEASE,
    LONGEST_LEASE_NEW,
    MANIFEST,
    MANIFEST_NEW,
    LOCK,
];

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
    lock: File,
}

impl Directory {
    /// Opens and locks the private directory of a segment, to remove it; `None` if there is none.
    pub(crate) fn of_existing(dir: &Path, name: &SegmentName) -> Result<Option<Self>, ArenaError> {
        let private_path = private_path(dir, name);
        match statat(CWD, &private_path, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(ArenaError::io("look at the private directory", private_path)(errno)),
            // Whatever is removed now is as good as made by this process.
            Ok(_) => Ok(Some(Self { made: true, ..Self::own(dir, name)? })),
        }
    }

    /// Opens or makes the private directory, and locks it.
    pub(crate) fn own(dir: &Path, name: &SegmentName) -> Result<Self, ArenaError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let public = openat(CWD, dir, flags, Mode::empty())
            .map_err(ArenaError::io("open the shared memory directory", dir))?;
        let private_path = private_path(dir, name);
        let (private, made) = open_private(&public, &private_path)?;
        let lock = lock(&private, &private_path, name).inspect_err(|_| {
            if made {
                remove(&public, &private, &private_path);
            }
        })?;
        Ok(Self {
            public,
            private,
            public_path: dir.join(name.as_str()),
            name: name.clone(),
            private_path,
            made,
            lock,
        })
    }

    /// Second handle of the directories and of the lock, which is free once both are dropped.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            public: self.public.try_clone()?,
            private: self.private.try_clone()?,
            name: self.name.clone(),
            public_path: self.public_path.clone(),
            private_path: self.private_path.clone(),
            made: self.made,
            lock: self.lock.try_clone()?,
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
    pub(crate) fn abandon(self) {
        if self.made {
            self.remove_private();
        }
    }

    /// Removes all private files, and the directory if this start made it. Errors are ignored: the
    /// failure to report is that of the start.
    pub(crate) fn remove_private(&self) {
        if self.made {
            remove(&self.public, &self.private, &self.private_path);
            return;
        }
        end_incarnation(&self.private);
        // The lock is what an earlier daemon left, like its directory.
        for file in PRIVATE_FILES.into_iter().filter(|file| *file != LOCK) {
            let _ = unlinkat(&self.private, file, AtFlags::empty());
        }
    }

    /// Makes a private file, with its mode whatever the umask. Fails if it exists.
    pub(crate) fn create(&self, file: &str) -> Result<File, Errno> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = openat(&self.private, file, flags, FILE_MODE)?;
        fchmod(&made, FILE_MODE)?;
        Ok(made.into())
    }

    /// Opens a private file of an earlier daemon. The kernel does not wait, whatever kind of file
    /// has the name.
    pub(crate) fn open(&self, file: &str, access: OFlags) -> Result<File, Errno> {
        let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(openat(&self.private, file, flags, Mode::empty())?.into())
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

fn private_path(dir: &Path, name: &SegmentName) -> PathBuf {
    dir.join(format!("{PRIVATE_PREFIX}{name}"))
}

/// Tells readers without a lease that the arena has no daemon any more. An error is ignored: a reader
/// goes on with the bytes of the arena that is removed, to which no daemon writes.
fn end_incarnation(private: &OwnedFd) {
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    if let Ok(file) = openat(private, INCARNATION, flags, Mode::empty()) {
        let _ = pwrite(file, &[0; 8], HEADER_LEN as u64);
    }
}

/// Removes a private directory that this start made. Errors are ignored: the failure to report is
/// that of the start.
fn remove(public: &OwnedFd, private: &OwnedFd, path: &Path) {
    end_incarnation(private);
    for file in PRIVATE_FILES {
        let _ = unlinkat(private, file, AtFlags::empty());
    }
    if let Some(name) = path.file_name() {
        let _ = unlinkat(public, name, AtFlags::REMOVEDIR);
    }
}

/// Fault of a private directory that another user made.
const FOREIGN: &str =
    "belongs to another user: run the daemon as that user, remove it, or choose another name";

/// Opens the private directory. Returns true if it had to be made.
fn open_private(public: &OwnedFd, path: &Path) -> Result<(OwnedFd, bool), ArenaError> {
    let name = path.file_name().expect("the path ends with the prefix and the segment's name");
    let made = match mkdirat(public, name, PRIVATE_MODE) {
        Ok(()) => true,
        Err(Errno::EXIST) => false,
        Err(errno) => return Err(ArenaError::io("make the private directory", path)(errno)),
    };
    let untrusted = |fault| ArenaError::Untrusted { path: path.to_owned(), fault };
    let unreadable = ArenaError::io("look at the private directory", path);
    let stat = statat(public, name, AtFlags::SYMLINK_NOFOLLOW).map_err(unreadable)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return Err(untrusted("is not a directory: remove that file"));
    }
    if stat.st_uid != geteuid().as_raw() {
        return Err(untrusted(FOREIGN));
    }
    let mode = Mode::from_raw_mode(stat.st_mode);
    if !(mode - PRIVATE_MODE).is_empty() {
        return Err(untrusted("is open to other users: `chmod 700` it if they left nothing there"));
    }
    // A umask took bits away, now or from an earlier daemon.
    if !mode.contains(PRIVATE_MODE) {
        chmodat(public, name, PRIVATE_MODE, AtFlags::empty())
            .map_err(ArenaError::io("set the mode of the private directory", path))?;
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let private = openat(public, name, flags, Mode::empty())
        .map_err(ArenaError::io("open the private directory", path))?;
    // The name may have got another directory in between.
    let opened = fstat(&private).map_err(ArenaError::io("look at the private directory", path))?;
    if Identity::of_stat(&opened) != Identity::of_stat(&stat) {
        return Err(untrusted("was replaced while the daemon started: start it again"));
    }
    Ok((private, made))
}

fn lock(private: &OwnedFd, path: &Path, name: &SegmentName) -> Result<File, ArenaError> {
    let path = path.join(LOCK);
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW;
    let flags = flags | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut file: File = openat(private, LOCK, flags, FILE_MODE)
        .map_err(ArenaError::io("open the lock", &path))?
        .into();
    let stat = fstat(&file).map_err(ArenaError::io("look at the lock", &path))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        let fault = "has a lock that is not a regular file: remove it";
        return Err(ArenaError::Untrusted { path, fault });
    }
    fchmod(&file, FILE_MODE).map_err(ArenaError::io("set the mode of the lock", &path))?;
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
