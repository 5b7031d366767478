//! Stamps of files, which tell that a file has changed.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

/// Stamp of a file: one that differs tells of another file under the name, or of other contents.
/// Symbolic links are followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileStamp {
    inode: (u64, u64),
    /// Time of the last change of contents or attributes, which no program can set.
    changed: (i64, i64),
    len: u64,
}

impl FileStamp {
    /// Stamp of the file at `path`; `None` if there is none, or none that can be looked at.
    pub fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        let changed = (found.ctime(), found.ctime_nsec());
        Some(Self { inode: (found.dev(), found.ino()), changed, len: found.len() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_file_and_other_contents_have_another_stamp() {
        let path = std::env::temp_dir().join(format!("kvlease-stamp-{}", std::process::id()));
        let other = path.with_extension("new");
        assert_eq!(FileStamp::of(&path), None);
        fs::write(&path, "one").unwrap();
        let first = FileStamp::of(&path).unwrap();
        assert_eq!(FileStamp::of(&path), Some(first));
        fs::write(&path, "three").unwrap();
        let second = FileStamp::of(&path).unwrap();
        fs::write(&other, "three").unwrap();
        fs::rename(&other, &path).unwrap();
        let third = FileStamp::of(&path).unwrap();
        assert!(first != second && second != third);
        fs::remove_file(&path).unwrap();
    }
}
