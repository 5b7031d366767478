//! How large values are transferred.

use kvlease_types::ByteSize;

/// Length of the parts of a transfer, except for the last one. Stores take no parts below 5 MiB.
pub(super) const PART_LEN: u64 = 8 << 20;

/// The largest value that is stored by one request. An upload in parts takes two requests more, and objects
/// are stored side by side anyway.
const PUT_LEN_MAX: u64 = 32 << 20;

/// The largest object: within 10,000 parts, S3's limit.
pub(super) const LEN_MAX: ByteSize = ByteSize::gib(16);

/// Parts of a transfer that are under way at once.
pub(super) const PARTS_AT_ONCE: usize = 8;

/// Small requests of a call that are under way at once.
pub(super) const REQUESTS_AT_ONCE: usize = 64;

/// The largest value that is stored by one request out of buffers of this size, which have room for two.
pub(super) fn put_len_max(buffers: ByteSize) -> u64 {
    PUT_LEN_MAX.min(buffers.bytes() / 2).max(PART_LEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_values_have_room_in_the_buffers_and_a_part_always_has() {
        for (buffers, len_max) in [(1, 8), (16, 8), (24, 12), (64, 32), (1024, 32)] {
            assert_eq!(put_len_max(ByteSize::mib(buffers)), len_max << 20, "{buffers} MiB");
        }
    }
}
