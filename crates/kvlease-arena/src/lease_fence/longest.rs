//! The longest lease that daemons of the arena may have granted, grace included. A deadline beyond
//! it is of a clock that is not ours, or of no lease at all.
//!
//! It lies beside the lease fence, in a file of its own with the header of all private files: its
//! numbers are the span in nanoseconds, the boot, and zero.

use std::{io, io::Read, os::unix::fs::FileExt, time::Duration};

use rustix::fs::OFlags;

use crate::{
    directory::{Directory, LONGEST_LEASE, LONGEST_LEASE_NEW},
    file_header::{FileHeader, HEADER_LEN},
};

const MAGIC: [u8; 8] = *b"KVLLONGL";
const VERSION: u32 = 1;

/// The span that an earlier daemon of this boot left; `None` if it left none, as a release before
/// this file did.
pub(super) fn read(directory: &Directory, boot: u64) -> Option<Duration> {
    let file = directory.open(LONGEST_LEASE, OFlags::RDONLY).ok()?;
    let mut bytes = Vec::with_capacity(HEADER_LEN);
    file.take(HEADER_LEN as u64).read_to_end(&mut bytes).ok()?;
    let header = FileHeader::decode(&bytes)?;
    let [span, of_boot, _] = header.numbers;
    (header == fields(span, boot) && of_boot == boot).then(|| Duration::from_nanos(span))
}

/// Leaves the span to the next daemon. Where it cannot be kept there is none, and the next daemon
/// believes every deadline.
pub(super) fn write(directory: &Directory, boot: u64, longest: Duration) {
    if read(directory, boot) != Some(longest) && replace(directory, boot, longest).is_err() {
        let _ = directory.discard(LONGEST_LEASE);
    }
}

fn replace(directory: &Directory, boot: u64, longest: Duration) -> io::Result<()> {
    directory.discard(LONGEST_LEASE_NEW).map_err(io::Error::other)?;
    let span = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX);
    let file = directory.create(LONGEST_LEASE_NEW)?;
    file.write_all_at(&fields(span, boot).encode(), 0)?;
    Ok(directory.rename(LONGEST_LEASE_NEW, LONGEST_LEASE)?)
}

fn fields(span: u64, boot: u64) -> FileHeader {
    FileHeader { magic: MAGIC, version: VERSION, entry_len: 0, numbers: [span, boot, 0] }
}
