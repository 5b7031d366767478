//! Records that are written as one, by a thread that waits for it: tombstones, and copies of objects at
//! later places in the log.

use std::io;

use kvlease_sys::Digest;

use crate::{
    device::Device,
    fingerprint::Secret,
    format::{
        BLOCK,
        record::{Header, KIND_OBJECT, KIND_TOMBSTONES, Layout, Position, encode_tombstones},
    },
    geometry::Geometry,
    index::{Indexed, Place},
    pieces::Pieces,
    segments::Reservation,
    state::Removal,
};

/// The log on the device.
#[derive(Clone, Copy)]
pub(crate) struct Log<'a> {
    pub(crate) device: &'a dyn Device,
    pub(crate) geometry: &'a Geometry,
    pub(crate) secret: &'a Secret,
}

/// Object that is to be copied, with what its record's header says.
pub(crate) struct Record {
    pub(crate) object: Indexed,
    pub(crate) layout: Layout,
    bucket: String,
    key: String,
}

impl Log<'_> {
    fn offset(&self, place: Place) -> u64 {
        self.geometry.offset(place.segment, place.block.into())
    }
}

impl Record {
    /// Reads the names of an object; `None` if its header is not right. `buffer` has room for a piece.
    pub(crate) fn read(
        log: Log<'_>,
        object: Indexed,
        position: Position,
        buffer: &mut [u8],
    ) -> Option<Self> {
        let block = &mut buffer[..BLOCK];
        log.device.read_at(log.offset(object.place), block).ok()?;
        let header = Header::decode(log.secret, position, block)?;
        let is_it = header.kind == KIND_OBJECT && header.len == u64::from(object.len);
        is_it.then(|| Self {
            object,
            layout: header.layout(),
            bucket: header.bucket.to_owned(),
            key: header.key.to_owned(),
        })
    }

    /// Copies the record with its new header. False, and the last piece is not written, if its bytes
    /// have not their checksum.
    pub(crate) fn copy(
        &self,
        log: Log<'_>,
        reservation: &Reservation,
        buffer: &mut [u8],
    ) -> io::Result<bool> {
        let (from, to) = (log.offset(self.object.place), log.offset(reservation.place));
        let Indexed { len, checksum, .. } = self.object;
        let header = Header {
            position: reservation.position,
            kind: KIND_OBJECT,
            bucket: &self.bucket,
            key: &self.key,
            len: len.into(),
            checksum,
        };
        let pieces = Pieces::new(self.layout, len.into());
        let mut digest = Digest::new();
        let mut block = [0; BLOCK];
        for piece in 0..pieces.count() {
            let (range, data) = (pieces.range(piece), pieces.data(piece));
            let buffer = &mut buffer[..pieces.piece_len(piece)];
            log.device.read_at(from + range.start, buffer)?;
            digest.update(&buffer[data.clone()]);
            if piece + 1 == pieces.count() && digest.finish().xxh3_64() != checksum {
                return Ok(false);
            }
            if piece == 0 {
                header.encode(log.secret, &mut block);
                buffer[..data.start].copy_from_slice(&block[..data.start]);
            }
            log.device.write_at(to + range.start, buffer)?;
        }
        Ok(true)
    }
}

/// Writes a record of tombstones. `block` has room for it.
pub(crate) fn write_tombstones(
    log: Log<'_>,
    removal: &Removal,
    block: &mut [u8],
) -> io::Result<()> {
    let bytes = encode_tombstones(&removal.fingerprints);
    let header = Header {
        position: removal.reservation.position,
        kind: KIND_TOMBSTONES,
        bucket: "",
        key: "",
        len: bytes.len() as u64,
        checksum: Digest::of(&bytes).xxh3_64(),
    };
    header.encode(log.secret, block);
    let at = header.layout().data_at;
    block[at..at + bytes.len()].copy_from_slice(&bytes);
    log.device.write_at(log.offset(removal.reservation.place), block)
}
