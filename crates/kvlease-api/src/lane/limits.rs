//! What a frame may hold at most. The daemon tells its clients in the welcome.

/// Length of the header before every payload.
pub const HEADER_LEN: usize = 16;

/// The longest payload that a client may send.
pub const FRAME_LEN_MAX: usize = 1 << 20;

/// The longest payload that the daemon sends.
pub const ANSWER_LEN_MAX: usize = 5 << 20;

/// The most keys, leases or reservations that one frame may name.
pub const KEYS_MAX: usize = 4_096;

/// The most extents that one object has.
pub const EXTENTS_MAX: usize = 64;

/// The longest answer: every record with the most extents.
const ANSWER_LEN_LONGEST: usize =
    super::leases::HEAD_LEN + KEYS_MAX * (super::leases::RECORD_LEN + (EXTENTS_MAX - 1) * 16);

const _: () = assert!(ANSWER_LEN_LONGEST <= ANSWER_LEN_MAX, "every answer fits its limit");
