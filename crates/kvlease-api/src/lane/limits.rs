//! Limits of frames. The welcome reports them to the client.

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
