//! The answer to an acquire.

use std::time::Duration;

use kvlease_types::{ByteSize, Checksum, Extent};

use super::{
    extents::{Behind, EXTENT_LEN, Extents, extent_bytes, first_extent},
    frame::{begin, end, put_u32},
    hello::millis_u32,
    kind::Kind,
    limits::{ANSWER_LEN_MAX, EXTENTS_MAX, HEADER_LEN, KEYS_MAX},
    malformed::Malformed,
    reader::{Reader, u16_at, u32_at, u64_at},
    records::Records,
    status::LeaseStatus,
};

/// Bytes before the records.
pub(super) const HEAD_LEN: usize = 8;

/// Bytes of one record.
pub(super) const RECORD_LEN: usize = 56;

/// Place of the first extent in a record.
const EXTENT_AT: usize = RECORD_LEN - EXTENT_LEN;

/// The longest answer: every record with the most extents.
const ANSWER_LEN_LONGEST: usize =
    HEAD_LEN + KEYS_MAX * (RECORD_LEN + (EXTENTS_MAX - 1) * EXTENT_LEN);

const _: () = assert!(ANSWER_LEN_LONGEST <= ANSWER_LEN_MAX, "every answer fits its limit");

/// A lease of the connection, without its extents.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeaseGrant {
    /// Slot of the object in the table of generations.
    pub slot: u32,
    /// Names the lease, together with the epoch of the welcome.
    pub sequence: u64,
    /// Content of the slot while the bytes are the object's.
    pub generation: u64,
    /// Checksum of the object's bytes.
    pub checksum: Checksum,
    /// Length of the object.
    pub len: ByteSize,
}

/// The answer for one key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LeaseRecord<'a> {
    /// It is leased. The extents are as long as the object.
    Granted(LeaseGrant, Extents<'a>),
    /// It is not, for this reason.
    Refused(LeaseStatus),
}

/// The answer to an acquire: a record for each key, in their order; in prefix mode up to and with
/// the first that is not leased.
#[derive(Clone, Debug)]
pub struct Leases<'a> {
    /// The time to live that was granted, counted from the moment of each grant.
    pub ttl: Duration,
    records: Records<'a, RECORD_LEN>,
}

impl<'a> Leases<'a> {
    pub(super) fn decode(reader: Reader<'a>) -> Result<Self, Malformed> {
        let (ttl, records) = Records::decode(reader, record)?;
        Ok(Self { ttl, records })
    }
}

impl<'a> Iterator for Leases<'a> {
    type Item = LeaseRecord<'a>;

    fn next(&mut self) -> Option<LeaseRecord<'a>> {
        self.records.next(record)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.records.size_hint()
    }
}

impl ExactSizeIterator for Leases<'_> {}

fn record<'a>(
    item: &[u8; RECORD_LEN],
    behind: &mut Reader<'a>,
) -> Result<LeaseRecord<'a>, Malformed> {
    let [status, reserved, ..] = *item;
    let unknown = Malformed::Status { status: status.into() };
    let status = LeaseStatus::from_number(status).ok_or(unknown)?;
    if reserved != 0 {
        return Err(Malformed::Reserved);
    }
    // A refusal has nothing but its status.
    if status != LeaseStatus::Granted {
        let clear = item[1..].iter().all(|byte| *byte == 0);
        return if clear { Ok(LeaseRecord::Refused(status)) } else { Err(Malformed::Reserved) };
    }
    let extents = Extents::take(first_extent(item), u16_at(item, 2), behind)?;
    let grant = LeaseGrant {
        slot: u32_at(item, 4),
        sequence: u64_at(item, 8),
        generation: u64_at(item, 16),
        checksum: Checksum::new(u64_at(item, 24)),
        len: ByteSize::new(u64_at(item, 32)),
    };
    // So that a client never reads beyond the object, nor too little of it.
    if extents.len() != Some(grant.len) {
        return Err(Malformed::Extents);
    }
    Ok(LeaseRecord::Granted(grant, extents))
}

/// Writer of an answer to an acquire, at the end of a buffer that it owns meanwhile.
#[derive(Debug)]
pub struct LeasesWriter {
    out: Vec<u8>,
    start: usize,
    count: usize,
    behind: Behind,
}

impl LeasesWriter {
    /// Begins the frame behind what is in `out`.
    pub fn begin(mut out: Vec<u8>, request: u64) -> Self {
        let start = begin(&mut out, Kind::Leases, 0, request);
        out.extend_from_slice(&[0; HEAD_LEN]);
        Self { out, start, count: 0, behind: Behind::default() }
    }

    /// Appends a record of a granted lease.
    pub fn granted(&mut self, grant: &LeaseGrant, extents: &[Extent]) {
        let (first, more) = self.behind.split(self.count, extents);
        self.out.extend_from_slice(&granted(grant, first, more));
        self.count += 1;
    }

    /// Appends a record of a key that is not leased.
    pub fn refused(&mut self, status: LeaseStatus) {
        self.out.extend_from_slice(&refused(status));
        self.count += 1;
    }

    /// Ends the frame, saying for how long the leases are. Returns the buffer.
    pub fn finish(mut self, ttl: Duration) -> Vec<u8> {
        let head = self.start + HEADER_LEN;
        put_u32(&mut self.out, head, millis_u32(ttl));
        let count = u32::try_from(self.count).expect("a frame names few keys");
        put_u32(&mut self.out, head + 4, count);
        self.behind.append(&mut self.out);
        end(&mut self.out, self.start);
        self.out
    }
}

fn granted(grant: &LeaseGrant, first: Extent, more: u16) -> [u8; RECORD_LEN] {
    let mut record = [0; RECORD_LEN];
    record[0] = LeaseStatus::Granted.number();
    record[2..4].copy_from_slice(&more.to_le_bytes());
    record[4..8].copy_from_slice(&grant.slot.to_le_bytes());
    record[8..16].copy_from_slice(&grant.sequence.to_le_bytes());
    record[16..24].copy_from_slice(&grant.generation.to_le_bytes());
    record[24..32].copy_from_slice(&grant.checksum.xxh3_64().to_le_bytes());
    record[32..40].copy_from_slice(&grant.len.bytes().to_le_bytes());
    record[EXTENT_AT..].copy_from_slice(&extent_bytes(first));
    record
}

fn refused(status: LeaseStatus) -> [u8; RECORD_LEN] {
    let mut record = [0; RECORD_LEN];
    record[0] = status.number();
    record
}
