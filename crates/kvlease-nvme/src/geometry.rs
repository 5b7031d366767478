//! Division of the file into segments.

use kvlease_types::ByteSize;

use crate::{
    format::{BLOCK, SEGMENTS_AT, index_table},
    index::{BLOCKS_MAX, SEGMENTS_MAX},
};

/// The shortest segment that is chosen by default.
pub(crate) const SEGMENT_LEN_MIN: u64 = 4 << 20;

/// The longest segment: 256 MiB and their [`SLACK_PART`]. A start may have to read one, and to copy half of it.
pub(crate) const SEGMENT_LEN_MAX: u64 = with_slack(256 << 20);

const _: () = assert!(SEGMENT_LEN_MAX / BLOCK as u64 <= BLOCKS_MAX);

/// The part of a segment that is added for what is no object's bytes. KV objects are often a power of two long: without
/// the room for the blocks of their headers, one of four objects of 64 MiB would not fit 256 MiB.
const SLACK_PART: u64 = 64;

/// The fewest segments of a file.
pub(crate) const SEGMENTS_MIN: u64 = 8;

/// The least capacity that is accepted.
pub(crate) const CAPACITY_MIN: ByteSize = ByteSize::mib(64);

const fn with_slack(len: u64) -> u64 {
    len + len / SLACK_PART
}

/// Parts of the capacity that a segment is chosen by.
const PARTS: u64 = 16;

/// Division of the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Geometry {
    /// Length of a segment, in bytes.
    pub(crate) segment_len: u64,
    /// Number of segments.
    pub(crate) segments: u32,
}

impl Geometry {
    /// Divides a new file of this capacity.
    pub(crate) fn new(capacity: ByteSize, segment: Option<ByteSize>) -> Option<Self> {
        let part = (capacity.bytes() / PARTS).max(1);
        let chosen = with_slack(1 << part.ilog2()).clamp(SEGMENT_LEN_MIN, SEGMENT_LEN_MAX);
        let segment_len = segment.map_or(chosen, ByteSize::bytes);
        let is_whole = segment_len.is_multiple_of(BLOCK as u64) && segment_len > BLOCK as u64 * 4;
        (is_whole && segment_len <= SEGMENT_LEN_MAX)
            .then_some(())
            .and_then(|()| Self::with_segments_of(segment_len, capacity))
    }

    /// Divides a file of this capacity into segments of a length; `None` if they are too few.
    pub(crate) fn with_segments_of(segment_len: u64, capacity: ByteSize) -> Option<Self> {
        let segments = capacity.bytes().saturating_sub(SEGMENTS_AT) / segment_len;
        let segments = segments.min(SEGMENTS_MAX);
        let segments = (segments >= SEGMENTS_MIN).then_some(segments)?;
        Some(Self { segment_len, segments: u32::try_from(segments).expect("it is bounded") })
    }

    /// Length of the file.
    pub(crate) fn file_len(&self) -> u64 {
        SEGMENTS_AT + self.segment_len * u64::from(self.segments)
    }

    /// Bytes of all segments.
    pub(crate) fn capacity(&self) -> ByteSize {
        ByteSize::new(self.segment_len * u64::from(self.segments))
    }

    /// Blocks of a segment.
    pub(crate) fn blocks(&self) -> u64 {
        self.segment_len / BLOCK as u64
    }

    /// Offset of a block in the file.
    pub(crate) fn offset(&self, segment: u32, block: u64) -> u64 {
        SEGMENTS_AT + self.segment_len * u64::from(segment) + block * BLOCK as u64
    }

    /// The longest object that a segment takes beside its header, the record's header and the table.
    pub(crate) fn object_len_max(&self) -> u64 {
        (self.blocks() - 2 - index_table::blocks(1) as u64) * BLOCK as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::record::Layout;

    #[test]
    fn segments_are_a_sixteenth_within_bounds() {
        for (capacity, segment_kib, count) in [
            (ByteSize::mib(64), 4096 + 64, 15),
            (ByteSize::gib(1), (64 + 1) << 10, 15),
            (ByteSize::gib(100), (256 + 4) << 10, 393),
            (ByteSize::gib(1 << 12), (256 + 4) << 10, 16_131),
        ] {
            let geometry = Geometry::new(capacity, None).unwrap();
            assert_eq!(geometry.segment_len, segment_kib << 10, "{capacity}");
            assert_eq!(geometry.segments, count, "{capacity}");
            assert!(geometry.file_len() <= capacity.bytes());
        }
        assert_eq!(Geometry::new(ByteSize::mib(16), None), None);
        assert_eq!(Geometry::new(ByteSize::gib(9), Some(ByteSize::gib(1))), None);
        assert_eq!(Geometry::new(ByteSize::gib(1), Some(ByteSize::new(5000))), None);
    }

    #[test]
    fn objects_whose_length_is_a_power_of_two_fill_a_segment() {
        let longest_name = 64 + 2048;
        for capacity in [ByteSize::mib(64), ByteSize::gib(3), ByteSize::gib(100)] {
            let geometry = Geometry::new(capacity, None).unwrap();
            let segment = 1_u64 << geometry.segment_len.ilog2();
            let lens = (19..=segment.ilog2()).map(|bits| 1 << bits);
            for len in lens {
                let count = segment / len;
                let records = count * Layout::of(longest_name, len).blocks;
                let table = index_table::blocks(count as usize) as u64;
                assert!(1 + records + table <= geometry.blocks(), "{count} of {len} bytes");
            }
            assert!(segment <= geometry.object_len_max(), "an object of a whole segment");
        }
    }
}
