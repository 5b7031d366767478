//! Looking at the bytes of objects: before the first lease of one that was taken over, and again
//! and again behind the requests.
//!
//! Nobody needs a lease to look. While an object is there, its extents are nobody else's; so bytes
//! that do not match, and an object that is still there under the same generation afterwards, mean
//! that somebody changed them.

use kvlease_cache::{Lease, Suspect};
use kvlease_sys::Digest;
use kvlease_types::{ByteSize, Checksum, Extent, Offset};
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::block_in_place,
};

use crate::shared::Shared;

/// What is looked at without a break: a tenth of a millisecond.
const PIECE: u64 = 1 << 20;

impl Shared {
    /// Whether the object of this lease may be read. Looks at its bytes if nobody did so since it
    /// was taken over from an earlier incarnation, and removes it if they are damaged.
    pub(crate) fn vouches_for(&self, lease: &Lease) -> bool {
        if lease.verified {
            return true;
        }
        let look = || self.is_intact(&lease.extents, lease.checksum);
        let intact = if lease.len.bytes() < PIECE { look() } else { in_place(look) };
        self.looked(lease.slot, lease.generation, intact, "at its first lease");
        intact
    }

    /// Draws the conclusion of a look at an object's bytes; nothing if it has left meanwhile.
    pub(crate) fn looked(&self, slot: u32, generation: u64, intact: bool, when: &'static str) {
        let mut state = self.state();
        if intact {
            state.catalog.verified(slot, generation);
            return;
        }
        let condemned = state.catalog.condemn(slot, generation, |object| {
            tracing::error!(
                bucket = object.bucket,
                key = object.key,
                expected = %object.checksum,
                when,
                "an object's bytes were changed in the arena: removed it"
            );
        });
        if condemned {
            self.counters.corrupt_objects.increment();
        }
    }

    fn is_intact(&self, extents: &[Extent], checksum: Checksum) -> bool {
        let mut digest = Digest::new();
        extents.iter().for_each(|extent| self.arena.digest(*extent, &mut digest));
        digest.finish() == checksum
    }

    /// Looks at an object's bytes in pieces and calls `pause` with the length of each. `None` if
    /// that tells to stop.
    pub(crate) fn inspect(
        &self,
        suspect: &Suspect,
        mut pause: impl FnMut(u64) -> bool,
    ) -> Option<bool> {
        let mut digest = Digest::new();
        for piece in suspect.extents.iter().flat_map(pieces) {
            self.arena.digest(piece, &mut digest);
            if !pause(piece.len.bytes()) {
                return None;
            }
        }
        Some(digest.finish() == suspect.checksum)
    }
}

/// An extent in parts that are short to look at.
fn pieces(extent: &Extent) -> impl Iterator<Item = Extent> {
    let (start, len) = (extent.offset.bytes(), extent.len.bytes());
    (0..len).step_by(PIECE as usize).map(move |done| {
        Extent::new(Offset::new(start + done), ByteSize::new(PIECE.min(len - done)))
    })
}

/// Does what may take long. The runtime's other tasks go on meanwhile, where it has other threads.
fn in_place<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current() {
        Ok(runtime) if runtime.runtime_flavor() == RuntimeFlavor::MultiThread => {
            block_in_place(work)
        }
        _ => work(),
    }
}
