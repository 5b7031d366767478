//! Files of a capture, and their rotation.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;

use super::{config::CaptureConfig, error::CaptureError, line::MAGIC};

/// The files: one that is written, and earlier ones.
#[derive(Debug)]
pub(super) struct Files {
    path: PathBuf,
    len_max: u64,
    files_max: usize,
    /// The one that is written; `None` where none could be made.
    file: Option<File>,
    /// Its length, up to which it has whole lines.
    len: u64,
}

impl Files {
    /// Looks at what is there, and makes room for a new file. Nothing else than captures is moved.
    pub(super) fn open(config: &CaptureConfig) -> Result<Self, CaptureError> {
        let files_max = config.files_max.max(1);
        let (path, len_max) = (config.path.clone(), config.file_len_max.bytes());
        let files = Self { path, len_max, files_max, file: None, len: 0 };
        for number in 0..files_max {
            ensure_capture(&files.place(number))?;
        }
        Ok(files)
    }

    /// Whether lines of this length go into another file.
    pub(super) fn is_full(&self, more: usize) -> bool {
        self.file.is_none() || self.len + more as u64 > self.len_max
    }

    /// Begins a new file with these bytes. The others move by one, and the oldest goes.
    pub(super) fn rotate(&mut self, header: &[u8]) -> io::Result<()> {
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
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
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
}

/// Refuses what is no capture, or is written by another daemon.
fn ensure_capture(path: &Path) -> Result<(), CaptureError> {
    let fault = |what| move |source| CaptureError::Io { path: path.to_owned(), what, source };
    let foreign = || CaptureError::Foreign { path: path.to_owned() };
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
        Err(TryLockError::WouldBlock) => return Err(CaptureError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => return Err(fault("locking an earlier file")(error)),
    }
    let mut begin = Vec::new();
    let read = file.by_ref().take(MAGIC.len() as u64).read_to_end(&mut begin);
    read.map_err(fault("reading an earlier file"))?;
    // A daemon that was killed may have left the begin of a header.
    if MAGIC.starts_with(&begin) { Ok(()) } else { Err(foreign()) }
}
