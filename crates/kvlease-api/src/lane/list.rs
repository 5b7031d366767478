//! Writers of requests that name many items.

use super::{
    frame::{begin, end, payload_len, put_u32},
    kind::Kind,
    limits::{FRAME_LEN_MAX, HEADER_LEN, KEYS_MAX},
};

/// The frame holds as much as a client may send at once: finish it and begin another.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the frame is full: finish it and begin another")]
pub struct Full;

/// A frame whose items are appended one by one.
#[derive(Debug)]
pub(super) struct ListWriter<'o> {
    pub(super) out: &'o mut Vec<u8>,
    start: usize,
    count_at: usize,
    count: u32,
}

impl<'o> ListWriter<'o> {
    /// Begins a frame whose payload begins with `before`, then the number of items, then `behind`.
    pub(super) fn begin(
        out: &'o mut Vec<u8>,
        (kind, flags, request): (Kind, u16, u64),
        before: &[u8],
        behind: &[u8],
    ) -> Self {
        let start = begin(out, kind, flags, request);
        out.extend_from_slice(before);
        let count_at = start + HEADER_LEN + before.len();
        out.extend_from_slice(&0_u32.to_le_bytes());
        out.extend_from_slice(behind);
        Self { out, start, count_at, count: 0 }
    }

    /// Makes room for an item of `len` bytes.
    pub(super) fn item(&mut self, len: usize) -> Result<&mut Vec<u8>, Full> {
        let fits = payload_len(self.out, self.start) + len <= FRAME_LEN_MAX;
        if !fits || self.count as usize == KEYS_MAX {
            return Err(Full);
        }
        self.count += 1;
        Ok(self.out)
    }

    /// Ends the frame. Returns how many items it names.
    pub(super) fn finish(self) -> usize {
        put_u32(self.out, self.count_at, self.count);
        end(self.out, self.start);
        self.count as usize
    }
}

/// Appends a name behind its length; its length was checked.
pub(super) fn put_name(out: &mut Vec<u8>, name: &str) {
    let len = u16::try_from(name.len()).expect("names are shorter than 64 KiB");
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(name.as_bytes());
}
