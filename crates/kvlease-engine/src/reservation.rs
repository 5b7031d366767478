//! Objects that a client writes straight into the arena.

use kvlease_cache::Extents;
use kvlease_types::{ByteSize, Extent, Timestamp};

use crate::{held_space::HeldSpace, open_reservations::Counted, write::Write};

/// Space that one client writes one object into. The object is invisible before
/// [`Engine::commit`](crate::Engine::commit), or [`Engine::store`](crate::Engine::store) for one that
/// is spare; dropping this discards it and gives its extents to others.
///
/// So a holder whose client may still be writing keeps it until the grace after its deadline is
/// over: see [`Reservation::until`].
#[derive(Debug)]
pub struct Reservation {
    pub(crate) write: Write,
    pub(crate) extents: Extents,
    pub(crate) len: ByteSize,
    pub(crate) deadline: Timestamp,
    /// Its part of what is open.
    pub(crate) _counted: Counted,
    /// Its part of what is spare, if it is.
    pub(crate) _spare: Option<HeldSpace>,
}

impl Reservation {
    /// Place of the bytes, in their order, with exact lengths.
    pub fn extents(&self) -> &[Extent] {
        &self.extents
    }

    /// The length of the object.
    pub fn len(&self) -> ByteSize {
        self.len
    }

    /// Whether the object has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == ByteSize::ZERO
    }

    /// Until when it can be committed.
    pub fn deadline(&self) -> Timestamp {
        self.deadline
    }

    /// Until when its client may still be writing: the deadline and the grace.
    pub fn until(&self) -> Timestamp {
        self.deadline.after(self.write.shared.config.catalog.lease_grace)
    }
}
