//! The private directory beside the public name, and the lock that makes one daemon its owner.
//!
//! `<dir>/.kvlease.<name>/` has mode 0700 and lies on the same file system as the public name, so
//! that the arena's second name can live in it as a hard link:
//!
//! | file | what it is |
//! |---|---|
//! | `lock` | held with `flock` by the running daemon, contains its process id |
//! | `arena` | the second name of the arena's inode |
//! | `arena.new` | an arena that is being built; a killed first start leaves one behind |
//! | `horizon` | until when each region may still be leased |
//! | `horizon.new` | a lease fence that is being built |
//! | `record` | which objects the arena has |
//! | `record.new` | a manifest that is being built |

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{
        AtFlags, CWD, FlockOperation, Mode, OFlags, flock, fstat, mkdirat, openat, renameat,
        unlinkat,
    },
    io::Errno,
    process::geteuid,
};

use crate::{
    ArenaError, SegmentName, SegmentOptions, lease_fence, manifest,
    segment::{PRIVATE_LINK, UNDER_CONSTRUCTION},
};

const PRIVATE_PREFIX: &str = ".kvlease.";
const PRIVATE_MODE: Mode = Mode::RWXU;
const LOCK: &str = "lock";

/// Everything that the private directory holds.
const PRIVATE_FILES: [&str; 7] = [
    UNDER_CONSTRUCTION,
    PRIVATE_LINK,
    lease_fence::FILE,
    lease_fence::UNDER_CONSTRUCTION,
    manifest::FILE,
    manifest::UNDER_CONSTRUCTION,
    LOCK,
];

/// The open directories of a segment, and the lock. Dropping it frees the lock.
#[derive(Debug)]
pub(crate) struct Directory {
    public: OwnedFd,
    private: OwnedFd,
    name: SegmentName,
    public_path: PathBuf,
    private_path: PathBuf,
    /// Whether there was no private directory before.
    made: bool,
    _lock: File,
}

impl Directory {
    /// Opens or makes the private directory and becomes its owner.
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

    /// Leaves nothing behind of a segment that could not be had, unless an earlier daemon left the
    /// private directory. What cannot be removed stays; the failure to be told is another one.
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

    /// Makes a private file, which must not exist.
    pub(crate) fn create(&self, file: &str) -> Result<File, Errno> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(openat(&self.private, file, flags, Mode::RUSR | Mode::WUSR)?.into())
    }

    /// Gives a private file another name, which it takes from the file that has it.
    pub(crate) fn rename(&self, from: &str, to: &str) -> Result<(), Errno> {
        renameat(&self.private, from, &self.private, to)
    }

    /// Removes a private file, which need not exist.
    pub(crate) fn discard(&self, file: &str) -> Result<(), ArenaError> {
        match unlinkat(&self.private, file, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => {
                Err(ArenaError::io("remove a leftover", self.private_path.join(file))(errno))
            }
        }
    }
}

/// Opens the private directory, and tells whether it had to be made.
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
        Errno::NOTDIR | Errno::LOOP => untrusted("is no directory: remove that file"),
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
            // The owner writes its id right after it locks: there may be none yet.
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
