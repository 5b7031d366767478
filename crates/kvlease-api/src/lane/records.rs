//! Records of a fixed length, with the extents that do not fit into them behind the last one.

use std::{slice::Iter, time::Duration};

use super::{malformed::Malformed, reader::Reader};

/// Rest of an answer.
#[derive(Clone, Debug)]
pub(super) struct Records<'a, const LEN: usize> {
    items: Iter<'a, [u8; LEN]>,
    behind: Reader<'a>,
}

/// How one record is read, together with its part of what is behind them all.
type Read<'a, R, const LEN: usize> = fn(&[u8; LEN], &mut Reader<'a>) -> Result<R, Malformed>;

impl<'a, const LEN: usize> Records<'a, LEN> {
    /// Takes a payload: the time to live that was granted, and the records, each of which is
    /// checked.
    pub(super) fn decode<R>(
        mut reader: Reader<'a>,
        read: Read<'a, R, LEN>,
    ) -> Result<(Duration, Self), Malformed> {
        let ttl = Duration::from_millis(reader.u32()?.into());
        let count = reader.count()?;
        let items = reader.items(count)?.iter();
        // Every record is read once here, so that reading it again cannot fail.
        let mut behind = reader;
        for item in items.clone() {
            read(item, &mut behind)?;
        }
        behind.end()?;
        Ok((ttl, Self { items, behind: reader }))
    }

    /// The next record, read in the same way.
    pub(super) fn next<R>(&mut self, read: Read<'a, R, LEN>) -> Option<R> {
        let item = self.items.next()?;
        Some(read(item, &mut self.behind).expect("all records were checked"))
    }

    pub(super) fn size_hint(&self) -> (usize, Option<usize>) {
        self.items.size_hint()
    }
}
