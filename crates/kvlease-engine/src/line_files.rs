//! Files of lines, and their rotation.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use kvlease_types::ByteSize;
use rustix::fs::OFlags;

/// Kind of files of lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LineFileKind {
    /// Name for people.
    pub name: &'static str,
    /// The setting that names the file.
    pub setting: &'static str,
    /// First bytes of every file.
    pub magic: &'static [u8],
}

/// Reason why files of lines cannot be begun.
#[derive(Debug, thiserror::Error)]
pub enum LineFilesError {
    /// A file of another kind has the name of one of the files.
    #[error(
        "a file that is no {} has this name: choose another path or move the file, {}=`{path}`",
        kind.name,
        kind.setting
    )]
    Foreign {
        /// The kind that was expected.
        kind: LineFileKind,
        /// The file.
        path: PathBuf,
    },
    /// Another daemon writes these files.
    #[error(
        "another daemon writes this {}: give each daemon a path of its own, {}=`{path}`",
        kind.name,
        kind.setting
    )]
    InUse {
        /// Their kind.
        kind: LineFileKind,
        /// The file.
        path: PathBuf,
    },
    /// The system refuses.
    #[error(
        "the {} cannot be begun: check that the directory exists and the daemon's user may write \
         there, {what}, {}=`{path}`, error=`{source}`",
        kind.name,
        kind.setting
    )]
    Io {
        /// Their kind.
        kind: LineFileKind,
        /// The file.
        path: PathBuf,
        /// The step that failed.
        what: &'static str,
        /// Error of the system.
        source: io::Error,
    },
}

/// The files: one that is written, and earlier ones, which have `.1`, `.2`, … behind its name.
#[derive(Debug)]
pub struct LineFiles {
    kind: LineFileKind,
    path: PathBuf,
    len_max: u64,
    files_max: usize,
    /// The one that is written; `None` where none could be made.
    file: Option<File>,
    /// Its length, up to which it has whole lines.
    len: u64,
}

impl LineFiles {
    /// Looks at what is there, and begins a new file with these bytes. Nothing of another kind is moved.
    pub fn begin(
        kind: LineFileKind,
        path: &Path,
        len_max: ByteSize,
        files_max: usize,
        header: &[u8],
    ) -> Result<Self, LineFilesError> {
        let (files_max, len_max) = (files_max.max(1), len_max.bytes());
        let mut files =
            Self { kind, path: path.to_owned(), len_max, files_max, file: None, len: 0 };
        for number in 0..files_max {
            files.ensure_kind(&files.place(number))?;
        }
        let what = "making the file";
        let fault = |source| LineFilesError::Io { kind, path: path.to_owned(), what, source };
        files.rotate(header).map_err(fault)?;
        Ok(files)
    }

    /// Whether lines of this length go into another file.
    pub fn is_full(&self, more: usize) -> bool {
        self.file.is_none() || self.len + more as u64 > self.len_max
    }

    /// Begins a new file with these bytes. The others move by one, and the oldest goes.
    pub fn rotate(&mut self, header: &[u8]) -> io::Result<()> {
        // Kept, and so locked, until the new one is.
        let _earlier = self.file.take();
        for number in (1..self.files_max).rev() {
            match fs::rename(self.place(number - 1), self.place(number)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if self.files_max == 1 {
            match fs::remove_file(&self.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
        let file = options.open(&self.path)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::ErrorKind::ResourceBusy.into(),
            TryLockError::Error(error) => error,
        })?;
        self.len = 0;
        self.file = Some(file);
        self.append(header)
    }

    /// Appends whole lines. After an error the file has none of them, or is written over from the same place.
    pub fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let file = self.file.as_ref().ok_or(io::ErrorKind::NotFound)?;
        file.write_all_at(lines, self.len)?;
        self.len += lines.len() as u64;
        Ok(())
    }

    /// Name of the file that is this many behind the one that is written.
    fn place(&self, number: usize) -> PathBuf {
        if number == 0 {
            return self.path.clone();
        }
        let mut name = OsString::from(&self.path);
        name.push(format!(".{number}"));
        name.into()
    }

    /// Refuses what is of another kind, or is written by another daemon.
    fn ensure_kind(&self, path: &Path) -> Result<(), LineFilesError> {
        let kind = self.kind;
        let fault =
            |what| move |source| LineFilesError::Io { kind, path: path.to_owned(), what, source };
        let foreign = || LineFilesError::Foreign { kind, path: path.to_owned() };
        match path.symlink_metadata() {
            Ok(metadata) if metadata.is_file() => {}
            Ok(_) => return Err(foreign()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(fault("looking at an earlier file")(error)),
        }
        let mut options = OpenOptions::new();
        options.read(true).custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed());
        let mut file = options.open(path).map_err(fault("opening an earlier file"))?;
        match file.try_lock_shared() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LineFilesError::InUse { kind, path: path.to_owned() });
            }
            Err(TryLockError::Error(error)) => return Err(fault("locking an earlier file")(error)),
        }
        let mut begin = Vec::new();
        let read = file.by_ref().take(kind.magic.len() as u64).read_to_end(&mut begin);
        read.map_err(fault("reading an earlier file"))?;
        // A daemon that was killed may have left the begin of a header.
        if kind.magic.starts_with(&begin) { Ok(()) } else { Err(foreign()) }
    }
}
