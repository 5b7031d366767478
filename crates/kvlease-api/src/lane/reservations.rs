//! The answer to a reserve.

use std::time::Duration;

use kvlease_types::Extent;

use super::{
    extents::{Behind, EXTENT_LEN, Extents, extent_bytes, first_extent},
    frame::{begin, end, put_u32},
    hello::millis_u32,
    kind::Kind,
    limits::HEADER_LEN,
    malformed::Malformed,
    reader::{Reader, u16_at, u64_at},
    records::Records,
    status::ReserveStatus,
};

const RECORD_LEN: usize = 40;

/// Place of the first extent in a record.
const EXTENT_AT: usize = RECORD_LEN - EXTENT_LEN;

/// The answer for one object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReservationRecord<'a> {
    /// The extents are the connection's to write into.
    Granted {
        /// Names the reservation, on this connection.
        write: u64,
        /// Place of the object's bytes; as long as was asked for.
        extents: Extents<'a>,
    },
    /// They are not, for this reason.
    Refused(ReserveStatus),
}

/// The answer to a reserve: a record for each object, in their order.
#[derive(Clone, Debug)]
pub struct Reservations<'a> {
    /// The time for which they can be committed.
    pub ttl: Duration,
    records: Records<'a, RECORD_LEN>,
}

impl<'a> Reservations<'a> {
    pub(super) fn decode(reader: Reader<'a>) -> Result<Self, Malformed> {
        let (ttl, records) = Records::decode(reader, record)?;
        Ok(Self { ttl, records })
    }
}

impl<'a> Iterator for Reservations<'a> {
    type Item = ReservationRecord<'a>;

    fn next(&mut self) -> Option<ReservationRecord<'a>> {
        self.records.next(record)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.records.size_hint()
    }
}

impl ExactSizeIterator for Reservations<'_> {}

fn record<'a>(
    item: &[u8; RECORD_LEN],
    behind: &mut Reader<'a>,
) -> Result<ReservationRecord<'a>, Malformed> {
    let [status, reserved, ..] = *item;
    let unknown = Malformed::Status { status: status.into() };
    let status = ReserveStatus::from_number(status).ok_or(unknown)?;
    let clear = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
    if status != ReserveStatus::Granted {
        let refused = ReservationRecord::Refused(status);
        return if clear(&item[1..]) { Ok(refused) } else { Err(Malformed::Reserved) };
    }
    if reserved != 0 || !clear(&item[4..8]) || !clear(&item[16..EXTENT_AT]) {
        return Err(Malformed::Reserved);
    }
    let extents = Extents::take(first_extent(item), u16_at(item, 2), behind)?;
    Ok(ReservationRecord::Granted { write: u64_at(item, 8), extents })
}

/// Writer of an answer to a reserve.
#[derive(Debug)]
#[must_use = "a frame has to be finished"]
pub struct ReservationsWriter<'o> {
    out: &'o mut Vec<u8>,
    start: usize,
    count: usize,
    behind: Behind,
}

impl<'o> ReservationsWriter<'o> {
    /// Begins the frame.
    pub fn begin(out: &'o mut Vec<u8>, request: u64, ttl: Duration) -> Self {
        let start = begin(out, Kind::Reservations, 0, request);
        out.extend_from_slice(&millis_u32(ttl).to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        Self { out, start, count: 0, behind: Behind::default() }
    }

    /// Appends a record of a granted reservation.
    pub fn granted(&mut self, write: u64, extents: &[Extent]) {
        let (first, more) = self.behind.split(self.count, extents);
        let mut record = [0; RECORD_LEN];
        record[0] = ReserveStatus::Granted.number();
        record[2..4].copy_from_slice(&more.to_le_bytes());
        record[8..16].copy_from_slice(&write.to_le_bytes());
        record[EXTENT_AT..].copy_from_slice(&extent_bytes(first));
        self.out.extend_from_slice(&record);
        self.count += 1;
    }

    /// Appends a record of an object for which there is no space.
    pub fn refused(&mut self, status: ReserveStatus) {
        self.out.push(status.number());
        self.out.extend_from_slice(&[0; RECORD_LEN - 1]);
        self.count += 1;
    }

    /// Ends the frame.
    pub fn finish(self) {
        let count = u32::try_from(self.count).expect("a frame names few objects");
        put_u32(self.out, self.start + HEADER_LEN + 4, count);
        self.behind.append(self.out);
        end(self.out, self.start);
    }
}
