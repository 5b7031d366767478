//! Which versions of a key a reader may see.
//!
//! One file, four words of eight bytes for each key, written by the one writer that owns the key
//! and read by all readers. It outlives every client, so that the writer that replaces a killed one
//! knows what the daemon may still make of the last request of that one.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

const WORDS: usize = 4;
const RECORD: usize = WORDS * 8;

/// What is known of one key.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Known {
    /// The last version whose upload was begun.
    pub(super) begun: u64,
    /// No version below this one can be seen any more: it was removed or never stored.
    pub(super) floor: u64,
    /// The version whose upload has not been answered yet; 0 for none.
    pub(super) open: u64,
    /// A version whose upload was never answered, since its writer was killed: it may be seen at
    /// any later time. 0 for none.
    pub(super) doubtful: u64,
}

impl Known {
    /// Begins the upload of the next version.
    pub(super) fn begin(&mut self) -> u64 {
        self.begun += 1;
        self.open = self.begun;
        self.begun
    }

    /// The upload was answered: it was stored.
    pub(super) fn stored(&mut self) {
        self.floor = self.open;
        self.open = 0;
    }

    /// The upload was answered: it was refused.
    pub(super) fn refused(&mut self) {
        self.open = 0;
    }

    /// There is no object, or was none at some moment after the last upload was answered.
    pub(super) fn gone(&mut self) {
        self.floor = self.begun + 1;
    }

    /// The upload that is open, if one is, will never be answered.
    pub(super) fn doubt(&mut self) {
        if self.open != 0 {
            (self.doubtful, self.open) = (self.open, 0);
        }
    }

    /// Whether a reader that knew `self` before it asked, and `after` when it had its answer, may
    /// have got this version.
    pub(super) fn allows(&self, after: &Self, version: u64) -> bool {
        let known = (self.floor..=after.begun).contains(&version) && version > 0;
        known || [self.doubtful, after.doubtful].contains(&version) && version > 0
    }
}

/// The file.
#[derive(Debug)]
pub(super) struct Versions(File);

impl Versions {
    /// Makes the file, with nothing begun.
    pub(super) fn create(path: &Path, keys: usize) -> io::Result<()> {
        File::create_new(path)?.set_len((keys * RECORD) as u64)
    }

    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(OpenOptions::new().read(true).write(true).open(path)?))
    }

    pub(super) fn get(&self, index: usize) -> io::Result<Known> {
        let mut bytes = [0; RECORD];
        self.0.read_exact_at(&mut bytes, (index * RECORD) as u64)?;
        let mut words = bytes.chunks_exact(8).map(|word| {
            u64::from_le_bytes(word.try_into().expect("chunks of eight bytes are words"))
        });
        let mut next = || words.next().expect("a record has a word for each field");
        Ok(Known { begun: next(), floor: next(), open: next(), doubtful: next() })
    }

    pub(super) fn set(&self, index: usize, known: Known) -> io::Result<()> {
        let words = [known.begun, known.floor, known.open, known.doubtful];
        let bytes: Vec<u8> = words.into_iter().flat_map(u64::to_le_bytes).collect();
        self.0.write_all_at(&bytes, (index * RECORD) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_version_is_not_allowed_and_a_new_one_is() {
        let mut known = Known::default();
        assert_eq!(known.begin(), 1);
        assert!(Known::default().allows(&known, 1), "an unanswered upload may be seen");
        known.stored();
        assert!(known.allows(&known, 1));
        known.gone();
        assert!(!known.allows(&known, 1), "it was removed");
        let before = known;
        known.begin();
        assert!(before.allows(&known, 2));
        assert!(!before.allows(&before, 2), "nobody has begun it");
    }

    #[test]
    fn the_last_upload_of_a_killed_writer_may_come_late() {
        let mut known = Known::default();
        known.begin();
        known.doubt();
        known.gone();
        known.begin();
        known.stored();
        assert!(known.allows(&known, 1) && known.allows(&known, 2));
    }

    #[test]
    fn the_file_keeps_what_is_known_of_each_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("versions");
        Versions::create(&path, 3).unwrap();
        let known = Known { begun: 4, floor: 3, open: 4, doubtful: 1 };
        Versions::open(&path).unwrap().set(1, known).unwrap();
        let versions = Versions::open(&path).unwrap();
        assert_eq!(versions.get(1).unwrap(), known);
        assert_eq!(versions.get(2).unwrap(), Known::default());
    }
}
