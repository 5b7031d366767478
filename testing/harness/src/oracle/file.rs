//! Oracle of several processes.
//!
//! The file has one record of words of eight bytes for each key, written by the one writer that
//! owns the key and read by all readers. It outlives every process: the writer that replaces a
//! killed one learns from it what the daemon may still do with the last request of that one.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

use super::state::KeyState;

const WORD: usize = 8;
const WORDS: usize = 5;
const RECORD: usize = WORDS * WORD;

/// Bits of the last word of a record.
const STORING: u64 = 1;
const REMOVING: u64 = 2;
const PROMISED: u64 = 4;

/// States of all keys, by their index, in a file.
#[derive(Debug)]
pub struct OracleFile(File);

impl OracleFile {
    /// Makes the file for `keys` keys, with nothing stored.
    pub fn create(path: &Path, keys: usize) -> io::Result<()> {
        let empty = encode(&KeyState::default()).repeat(keys);
        File::create_new(path)?.write_all_at(&empty, 0)
    }

    /// Opens the file.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(OpenOptions::new().read(true).write(true).open(path)?))
    }

    /// State of a key.
    pub fn get(&self, index: usize) -> io::Result<KeyState> {
        let mut bytes = [0; RECORD];
        self.0.read_exact_at(&mut bytes, (index * RECORD) as u64)?;
        Ok(decode(&bytes))
    }

    /// Changes the state of a key, which its one writer does alone.
    pub fn update<T>(
        &self,
        index: usize,
        change: impl FnOnce(&mut KeyState) -> T,
    ) -> io::Result<T> {
        let mut state = self.get(index)?;
        let result = change(&mut state);
        self.0.write_all_at(&encode(&state), (index * RECORD) as u64)?;
        Ok(result)
    }
}

fn encode(state: &KeyState) -> [u8; RECORD] {
    let KeyState { begun, oldest, newest, doubtful, storing, removing, promised } = *state;
    let flags = [(storing, STORING), (removing, REMOVING), (promised, PROMISED)];
    let flags = flags.into_iter().filter(|(set, _)| *set).map(|(_, bit)| bit).sum();
    let mut bytes = [0; RECORD];
    for (place, word) in bytes.chunks_exact_mut(WORD).zip([begun, oldest, newest, doubtful, flags])
    {
        place.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

fn decode(bytes: &[u8; RECORD]) -> KeyState {
    let mut words = [0; WORDS];
    for (word, place) in words.iter_mut().zip(bytes.chunks_exact(WORD)) {
        *word = u64::from_le_bytes(place.try_into().expect("chunks of eight bytes are words"));
    }
    let [begun, oldest, newest, doubtful, flags] = words;
    let [storing, removing, promised] = [STORING, REMOVING, PROMISED].map(|bit| flags & bit != 0);
    KeyState { begun, oldest, newest, doubtful, storing, removing, promised }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_keeps_the_state_of_each_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("oracle");
        OracleFile::create(&path, 3).unwrap();
        let mut expected = KeyState::default();
        let file = OracleFile::open(&path).unwrap();
        let changes: [fn(&mut KeyState); 6] = [
            |state| assert_eq!(state.begin(), 1),
            KeyState::doubt,
            |state| assert_eq!(state.begin(), 2),
            |state| assert!(!state.stored()),
            KeyState::remove,
            KeyState::gone,
        ];
        for change in changes {
            change(&mut expected);
            file.update(1, change).unwrap();
            assert_eq!(OracleFile::open(&path).unwrap().get(1).unwrap(), expected);
        }
        assert_eq!(file.get(2).unwrap(), KeyState::default());
    }
}
