//! What a client has done and is doing, in a file that outlives its `SIGKILL`.
//!
//! A file of words of eight bytes: the activity, then one count for each [`Count`]. The client that
//! replaces a killed one goes on counting in the same file.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

/// What is counted.
macro_rules! counts {
    ($($variant:ident $name:literal $about:literal),* $(,)?) => {
        /// One kind of thing that a client counts.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Count {
            $(#[doc = $about] $variant,)*
        }

        impl Count {
            /// Every kind, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name in reports.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What it counts.
            pub const fn about(self) -> &'static str {
                match self { $(Self::$variant => $about,)* }
            }
        }
    };
}

counts! {
    Stored "stored" "objects stored with Content-Length",
    StoredChunked "stored_chunked" "objects stored with a chunked body",
    StoredLane "stored_lane" "objects stored over the fast lane",
    GivenUp "given_up" "reservations given up",
    FilledLate "filled_late" "reservations that were over before they were committed",
    Exists "exists" "uploads refused since the key was taken",
    NoSpace "no_space" "uploads refused since there was no space",
    Removed "removed" "objects removed",
    RemovedAbsent "removed_absent" "removals that found nothing",
    Busy "busy" "removals refused since the object was being written",
    Leased "leased" "leases granted",
    LeasedLane "leased_lane" "leases granted over the fast lane",
    Missed "missed" "lease requests that found nothing",
    Copied "copied" "copies out of shared memory that ended within their lease",
    CopiedAgain "copied_again" "further copies under a lease that was held meanwhile",
    Viewed "viewed" "objects verified where they are, within their lease",
    Late "late" "copies discarded since their lease ended first",
    Released "released" "leases released",
    Abandoned "abandoned" "leases left to expire",
    Renewed "renewed" "leases renewed",
    RenewedLate "renewed_late" "renewals refused since the lease had ended",
    Fetched "fetched" "objects read over HTTP",
    FetchMissed "fetch_missed" "reads over HTTP that found nothing",
    Looked "looked" "lengths asked for",
    BytesStored "bytes_stored" "bytes stored",
    BytesVerified "bytes_verified" "bytes verified",
    WrongBytes "wrong_bytes" "wrong bytes",
    WrongVersions "wrong_versions" "objects of a version that nobody may see any more",
    Errors "errors" "calls that failed in a way no client should see",
}

/// What a client is in the middle of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Activity {
    /// Between two requests.
    Pause,
    /// An upload.
    Put,
    /// A read: from the request for a lease to the end of the copy.
    Read,
}

/// The file, as its one client writes it.
#[derive(Debug)]
pub(super) struct Ledger {
    file: File,
    activity: Activity,
    counts: Vec<u64>,
}

impl Ledger {
    /// Opens or makes the file, and goes on with the counts in it.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let (_, counts) =
            read(path).unwrap_or_else(|_| (Activity::Pause, vec![0; Count::ALL.len()]));
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        let ledger = Self { file, activity: Activity::Pause, counts };
        ledger.write()?;
        Ok(ledger)
    }

    /// Says what the client is about to do.
    pub(super) fn begin(&mut self, activity: Activity) -> io::Result<()> {
        self.activity = activity;
        self.write()
    }

    /// Says that it is done.
    pub(super) fn end(&mut self) -> io::Result<()> {
        self.begin(Activity::Pause)
    }

    /// Counts; written down with the next [`Self::begin`] or [`Self::end`].
    pub(super) fn add(&mut self, count: Count, more: u64) {
        self.counts[count as usize] += more;
    }

    fn write(&self) -> io::Result<()> {
        let words = std::iter::once(self.activity as u64).chain(self.counts.iter().copied());
        let bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
        self.file.write_all_at(&bytes, 0)
    }
}

/// What a client was doing when it wrote last, and its counts.
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
    whole.then_some((activity, counts)).ok_or_else(|| io::Error::other("the ledger is not whole"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_tells_what_a_killed_client_did_and_was_doing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger");
        for (time, activity) in [(1, Activity::Put), (2, Activity::Read)] {
            let mut ledger = Ledger::open(&path).unwrap();
            ledger.add(Count::Errors, 1);
            ledger.begin(activity).unwrap();
            let (doing, counts) = read(&path).unwrap();
            assert_eq!((doing, counts[Count::Errors as usize]), (activity, time));
        }
    }
}
