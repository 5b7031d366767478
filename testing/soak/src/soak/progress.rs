//! Progress file of a client: its activity and its counts, which outlive its `SIGKILL`.
//!
//! It has words of eight bytes: the activity, then one count for each [`Count`]. The client that
//! replaces a killed one goes on counting in the same file.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

use crate::counts::Count;

/// Activity of a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Activity {
    /// Between two requests.
    Pause,
    /// An upload.
    Put,
    /// A read: from the request for a lease to the end of the copy.
    Read,
}

/// Progress file, as its one client writes it.
#[derive(Debug)]
pub(super) struct ProgressFile {
    file: File,
    activity: Activity,
    counts: Vec<u64>,
}

impl ProgressFile {
    /// Opens or makes the file, and goes on with the counts in it.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let (_, counts) =
            read(path).unwrap_or_else(|_| (Activity::Pause, vec![0; Count::ALL.len()]));
        let opened = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        let file = Self { file: opened, activity: Activity::Pause, counts };
        file.write()?;
        Ok(file)
    }

    /// Records the activity that the client begins.
    pub(super) fn begin(&mut self, activity: Activity) -> io::Result<()> {
        self.activity = activity;
        self.write()
    }

    /// Records that it is done.
    pub(super) fn end(&mut self) -> io::Result<()> {
        self.begin(Activity::Pause)
    }

    /// Adds to a count; the next [`Self::begin`] or [`Self::end`] writes it.
    pub(super) fn add(&mut self, count: Count, more: u64) {
        self.counts[count as usize] += more;
    }

    fn write(&self) -> io::Result<()> {
        let words = std::iter::once(self.activity as u64).chain(self.counts.iter().copied());
        let bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
        self.file.write_all_at(&bytes, 0)
    }
}

/// Activity of a client when it last wrote, and its counts.
pub(super) fn read(path: &Path) -> io::Result<(Activity, Vec<u64>)> {
    let bytes = fs::read(path)?;
    let mut words = bytes
        .chunks_exact(8)
        .map(|word| u64::from_le_bytes(word.try_into().expect("chunks of eight bytes are words")));
    let activity = match words.next() {
        Some(1) => Activity::Put,
        Some(2) => Activity::Read,
        _ => Activity::Pause,
    };
    let counts: Vec<u64> = words.collect();
    let whole = counts.len() == Count::ALL.len();
    whole
        .then_some((activity, counts))
        .ok_or_else(|| io::Error::other("the progress file is not whole"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_progress_file_tells_what_a_killed_client_did_and_was_doing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("progress");
        for (time, activity) in [(1, Activity::Put), (2, Activity::Read)] {
            let mut progress = ProgressFile::open(&path).unwrap();
            progress.add(Count::Errors, 1);
            progress.begin(activity).unwrap();
            let (doing, counts) = read(&path).unwrap();
            assert_eq!((doing, counts[Count::Errors as usize]), (activity, time));
        }
    }
}
