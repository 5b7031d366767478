//! How large values are split.

use std::time::Duration;

use kvlease_tier::Stat;
use kvlease_types::ByteSize;

use crate::head::Head;

/// Length of a piece, a constant of the format.
pub(super) const PIECE_LEN: u64 = 4 << 20;

/// The largest object.
pub(super) const LEN_MAX: ByteSize = ByteSize::gib(16);

/// Pieces of a transfer that are under way at once.
pub(super) const PIECES_AT_ONCE: usize = 8;

/// Time after which the server drops the pieces of a writer that never stored the head.
pub(super) const PIECE_TTL: Duration = Duration::from_secs(600);

/// Length of the pieces of an object; 0 if it is one value.
pub(super) fn piece_len(stat: Stat) -> u64 {
    if stat.len.bytes() > PIECE_LEN { PIECE_LEN } else { 0 }
}

/// Says whether a head is that of an object of this length and checksum, split as this version does.
pub(super) fn is_of(head: &Head, stat: Stat) -> bool {
    head.stat == stat && head.piece_len == piece_len(stat)
}
