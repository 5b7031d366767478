//! How large values are transferred.

use std::ops::Range;

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

/// Ranges of a value of this length that are read side by side. A short rest goes with the part in front
/// of it: a request for it would take longer than its bytes.
pub(super) fn read_parts(len: u64) -> impl Iterator<Item = Range<u64>> {
    let count = ((len + PART_LEN / 2) / PART_LEN).max(1);
    (0..count).map(move |number| {
        let from = number * PART_LEN;
        from..if number + 1 == count { len } else { from + PART_LEN }
    })
}

/// The largest value that is stored by one request out of buffers of this size, which have room for two.
pub(super) fn put_len_max(buffers: ByteSize) -> u64 {
    PUT_LEN_MAX.min(buffers.bytes() / 2).max(PART_LEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_a_value_once_and_none_is_short_beside_others() {
        let (part, half) = (PART_LEN, PART_LEN / 2);
        for (len, count) in [
            (1, 1),
            (part, 1),
            (part + half - 1, 1),
            (part + half, 2),
            (2 * part + 80, 2),
            (8 * part + half, 9),
        ] {
            let parts: Vec<Range<u64>> = read_parts(len).collect();
            assert_eq!(parts.len(), count, "{len}");
            assert_eq!((parts[0].start, parts[count - 1].end), (0, len));
            assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start), "{len}");
            assert!(parts.iter().all(|range| range.end - range.start < part + half), "{len}");
            assert!(count == 1 || parts[count - 1].end - parts[count - 1].start >= half, "{len}");
        }
    }

    #[test]
    fn two_values_have_room_in_the_buffers_and_a_part_always_has() {
        for (buffers, len_max) in [(1, 8), (16, 8), (24, 12), (64, 32), (1024, 32)] {
            assert_eq!(put_len_max(ByteSize::mib(buffers)), len_max << 20, "{buffers} MiB");
        }
    }
}
