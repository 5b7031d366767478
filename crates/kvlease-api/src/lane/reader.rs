//! Reading the fields of a payload.

use std::slice;

use super::{limits::KEYS_MAX, malformed::Malformed};

/// Rest of a payload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(payload: &'a [u8]) -> Self {
        Self(payload)
    }

    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(Malformed::Truncated)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn array<const LEN: usize>(&mut self) -> Result<[u8; LEN], Malformed> {
        let (bytes, rest) = self.0.split_first_chunk::<LEN>().ok_or(Malformed::Truncated)?;
        self.0 = rest;
        Ok(*bytes)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    /// A number of items that a frame may have.
    pub(super) fn count(&mut self) -> Result<usize, Malformed> {
        let count = self.u32()?;
        if count as usize > KEYS_MAX {
            return Err(Malformed::Count { count });
        }
        Ok(count as usize)
    }

    /// `count` items of `LEN` bytes each.
    pub(super) fn items<const LEN: usize>(
        &mut self,
        count: usize,
    ) -> Result<&'a [[u8; LEN]], Malformed> {
        Ok(self.take(count * LEN)?.as_chunks().0)
    }

    /// The rest, if it is items of `LEN` bytes each behind their number and four reserved bytes.
    pub(super) fn counted_items<const LEN: usize>(
        mut self,
    ) -> Result<slice::Iter<'a, [u8; LEN]>, Malformed> {
        let count = self.count()?;
        self.reserved::<4>()?;
        let items = self.items(count)?;
        self.end()?;
        Ok(items.iter())
    }

    /// Bytes behind their length in two bytes.
    pub(super) fn sized(&mut self) -> Result<&'a [u8], Malformed> {
        let len = self.u16()?;
        self.take(len.into())
    }

    pub(super) fn reserved<const LEN: usize>(&mut self) -> Result<(), Malformed> {
        if self.array::<LEN>()? == [0; LEN] { Ok(()) } else { Err(Malformed::Reserved) }
    }

    pub(super) fn end(self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed::TooLong { left: self.0.len() }) }
    }
}

/// The eight bytes at `at` of an item.
#[inline]
pub(super) fn u64_at<const LEN: usize>(item: &[u8; LEN], at: usize) -> u64 {
    let bytes = item[at..].first_chunk().expect("the field is within the item");
    u64::from_le_bytes(*bytes)
}

#[inline]
pub(super) fn u32_at<const LEN: usize>(item: &[u8; LEN], at: usize) -> u32 {
    let bytes = item[at..].first_chunk().expect("the field is within the item");
    u32::from_le_bytes(*bytes)
}

#[inline]
pub(super) fn u16_at<const LEN: usize>(item: &[u8; LEN], at: usize) -> u16 {
    let bytes = item[at..].first_chunk().expect("the field is within the item");
    u16::from_le_bytes(*bytes)
}
