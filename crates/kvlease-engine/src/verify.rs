//! Verification of objects' bytes: before the first lease of one that was taken over, and again and
//! again behind the requests.
//!
//! It needs no lease. While an object is there, its extents belong to no other; so a checksum that
//! does not match, of an object that is still there under the same generation afterwards, proves
//! that its bytes were changed.

use kvlease_cache::{Lease, ScrubCandidate};
use kvlease_sys::Digest;
use kvlease_types::{ByteSize, Checksum, Extent, Offset};
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::block_in_place,
};

use crate::shared::Shared;

/// Bytes that are read without a break: a tenth of a millisecond.
const PIECE: u64 = 1 << 20;

impl Shared {
    /// Whether the lease may be granted to a client. An object that was taken over from an earlier
    /// incarnation is verified before its first lease, and removed if it is corrupt.
    pub(crate) fn verify_before_grant(&self, lease: &Lease) -> bool {
        if lease.verified {
            return true;
        }
        let look = || self.is_intact(&lease.extents, lease.checksum);
        let intact = if lease.len.bytes() < PIECE { look() } else { in_place(look) };
        self.record_verification(lease.slot, lease.generation, intact, "at its first lease");
        intact
    }

    /// Records whether an object's bytes match its checksum, and removes it if not. Has no effect if
    /// it has left meanwhile.
    pub(crate) fn record_verification(
        &self,
        slot: u32,
        generation: u64,
        intact: bool,
        when: &'static str,
    ) {
        let mut state = self.state();
        if intact {
            state.catalog.record_verification(slot, generation);
            return;
        }
        let removed = state.catalog.remove_corrupt(slot, generation, |object| {
            tracing::error!(
                bucket = object.bucket,
                key = object.key,
                expected = %object.checksum,
                when,
                "an object's bytes were changed in the arena: removed it"
            );
        });
        if removed {
            self.counters.corrupt_objects.increment();
        }
    }

    fn is_intact(&self, extents: &[Extent], checksum: Checksum) -> bool {
        let mut digest = Digest::new();
        extents.iter().for_each(|extent| self.arena.digest(*extent, &mut digest));
        digest.finish() == checksum
    }

    /// Whether an object's bytes match its checksum. Reads them in pieces and calls `pause` with the
    /// length of each. `None` if that tells to stop.
    pub(crate) fn inspect(
        &self,
        candidate: &ScrubCandidate,
        mut pause: impl FnMut(u64) -> bool,
    ) -> Option<bool> {
        let mut digest = Digest::new();
        for piece in candidate.extents.iter().flat_map(pieces) {
            self.arena.digest(piece, &mut digest);
            if !pause(piece.len.bytes()) {
                return None;
            }
        }
        Some(digest.finish() == candidate.checksum)
    }
}

/// An extent in parts that are short to read.
fn pieces(extent: &Extent) -> impl Iterator<Item = Extent> {
    let (start, len) = (extent.offset.bytes(), extent.len.bytes());
    (0..len).step_by(PIECE as usize).map(move |done| {
        Extent::new(Offset::new(start + done), ByteSize::new(PIECE.min(len - done)))
    })
}

/// Runs work that may take long. The runtime's other tasks go on meanwhile, where it has other
/// threads.
fn in_place<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current() {
        Ok(runtime) if runtime.runtime_flavor() == RuntimeFlavor::MultiThread => {
            block_in_place(work)
        }
        _ => work(),
    }
}
