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
        let mut files = Self::look_at(kind, path, len_max, files_max)?;
        files.rotate(header).map_err(|source| files.fault("making the file", source))?;
        Ok(files)
    }

    /// Looks at what is there, and goes on behind the whole lines of the last file with these bytes, or begins a
    /// new one with them if that has no room. Nothing of another kind is moved.
    pub fn resume(
        kind: LineFileKind,
        path: &Path,
        len_max: ByteSize,
        files_max: usize,
        header: &[u8],
    ) -> Result<Self, LineFilesError> {
        let mut files = Self::look_at(kind, path, len_max, files_max)?;
        files.open_last()?;
        let begun = match files.is_full(header.len()) {
            true => files.rotate(header),
            false => files.append(header),
        };
        begun.map_err(|source| files.fault("writing into the file", source))?;
        Ok(files)
    }

    fn look_at(
        kind: LineFileKind,
        path: &Path,
        len_max: ByteSize,
        files_max: usize,
    ) -> Result<Self, LineFilesError> {
        let (files_max, len_max) = (files_max.max(1), len_max.bytes());
        let files = Self { kind, path: path.to_owned(), len_max, files_max, file: None, len: 0 };
        for number in 0..files_max {
            files.ensure_kind(&files.place(number))?;
        }
        Ok(files)
    }

    fn fault(&self, what: &'static str, source: io::Error) -> LineFilesError {
        LineFilesError::Io { kind: self.kind, path: self.path.clone(), what, source }
    }

    /// Takes the last file, if it has whole lines, and cuts what a killed daemon left behind those.
    fn open_last(&mut self) -> Result<(), LineFilesError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed());
        let file = match options.open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(self.fault("opening the file", error)),
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LineFilesError::InUse { kind: self.kind, path: self.path.clone() });
            }
            Err(TryLockError::Error(error)) => return Err(self.fault("locking the file", error)),
        }
        let whole = end_of_lines(&file).map_err(|error| self.fault("reading the file", error))?;
        if whole > 0 {
            file.set_len(whole).map_err(|error| self.fault("cutting the file", error))?;
            (self.file, self.len) = (Some(file), whole);
        }
        Ok(())
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

/// Length of a file up to the end of its last whole line.
fn end_of_lines(file: &File) -> io::Result<u64> {
    let mut end = file.metadata()?.len();
    let mut piece = [0; 4_096];
    while end > 0 {
        let len = end.min(piece.len() as u64);
        let piece = &mut piece[..len as usize];
        file.read_exact_at(piece, end - len)?;
        if let Some(place) = piece.iter().rposition(|byte| *byte == b'\n') {
            return Ok(end - len + place as u64 + 1);
        }
        end -= len;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: LineFileKind =
        LineFileKind { name: "test log", setting: "test.path", magic: b"{\"head\":" };
    const HEADER: &[u8] = b"{\"head\":1}\n";

    /// Files of at most 40 bytes.
    fn resumed(path: &Path) -> Result<LineFiles, LineFilesError> {
        LineFiles::resume(KIND, path, ByteSize::new(40), 2, HEADER)
    }

    #[test]
    fn lines_go_on_behind_the_whole_ones_until_the_file_is_full() {
        let dir = tempfile::TempDir::new().unwrap();
        let (path, earlier) = (dir.path().join("log"), dir.path().join("log.1"));
        let text = |path: &Path| fs::read_to_string(path).unwrap();
        let mut files = resumed(&path).unwrap();
        files.append(b"1\n").unwrap();
        assert!(matches!(resumed(&path), Err(LineFilesError::InUse { .. })));
        drop(files);
        assert_eq!(text(&path), "{\"head\":1}\n1\n");
        // A daemon was killed while it wrote.
        fs::write(&path, "{\"head\":1}\n1\n{\"ha").unwrap();
        let mut files = resumed(&path).unwrap();
        files.append(b"2\n").unwrap();
        drop(files);
        let two = "{\"head\":1}\n1\n{\"head\":1}\n2\n";
        assert_eq!(text(&path), two);
        assert!(!earlier.exists());
        // 26 bytes and a header are the most that the next two starts have room for.
        drop(resumed(&path).unwrap());
        assert_eq!((text(&path), earlier.exists()), (format!("{two}{{\"head\":1}}\n"), false));
        drop(resumed(&path).unwrap());
        assert_eq!(text(&path), "{\"head\":1}\n");
        assert_eq!(text(&earlier), format!("{two}{{\"head\":1}}\n"));
    }

    #[test]
    fn a_file_without_a_whole_line_is_left_behind_and_another_kind_alone() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("log");
        for left in ["", "{\"he"] {
            fs::write(&path, left).unwrap();
            drop(resumed(&path).unwrap());
            assert_eq!(fs::read(&path).unwrap(), HEADER, "{left}");
        }
        fs::write(&path, "notes\n").unwrap();
        assert!(matches!(resumed(&path), Err(LineFilesError::Foreign { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"notes\n");
        // A line of any length is found to its begin.
        let long = [HEADER, &vec![b'x'; 10_000], b"\n", &vec![b'y'; 9_000]].concat();
        fs::write(&path, &long).unwrap();
        let file = File::open(&path).unwrap();
        assert_eq!(end_of_lines(&file).unwrap(), HEADER.len() as u64 + 10_001);
    }
}
