//! Writes of objects: bodies over HTTP, and reservations that clients fill themselves.

use kvlease_sys::Digest;
use kvlease_testing::bytes;
use kvlease_types::{ByteSize, Checksum, WriteRefused};

use super::{
    clients::{Fill, Upload},
    world::{CALLER, LEN_MAX, Stored, World, names},
};
use crate::{NotStored, Put, ReserveLimits, StoreItem, clock::now};

/// Multiple that the lengths of spare reservations are rounded up to.
const SPARE_GRAIN: u64 = 4 << 10;

impl World {
    /// Another object under a key that is free.
    pub(super) fn new_object(&mut self) -> (String, u64, Vec<u8>) {
        self.version += 1;
        let len = if self.draws.one_in(20) { 0 } else { self.draws.below(LEN_MAX) };
        (self.key(), self.version, bytes(len as usize, self.version))
    }

    pub(super) fn begin_upload(&mut self) {
        let (key, version, bytes) = self.new_object();
        let known = !self.draws.one_in(4);
        let len = known.then_some(ByteSize::new(bytes.len() as u64));
        let (bucket, name) = names(&key);
        match Put::begin(self.daemon(), &CALLER, bucket, name, len) {
            Ok(put) => self.uploads.push(Upload { put, key, version, bytes, sent: 0 }),
            Err(_) => self.seen.refused += 1,
        }
    }

    pub(super) fn go_on_with_upload(&mut self) {
        let Some(mut upload) = self.draws.take(&mut self.uploads) else { return };
        if self.draws.one_in(25) {
            self.seen.died += 1;
            return;
        }
        let piece = self.draws.below(LEN_MAX / 2) as usize;
        let end = (upload.sent + piece).min(upload.bytes.len());
        if upload.put.write(&upload.bytes[upload.sent..end]).is_err() {
            self.seen.refused += 1;
            return;
        }
        upload.sent = end;
        if end < upload.bytes.len() {
            return self.uploads.push(upload);
        }
        let Upload { put, key, version, bytes, .. } = upload;
        assert_eq!(put.seal().unwrap().checksum, Digest::of(&bytes));
        self.seen.sealed += 1;
        self.store(key, version);
    }

    pub(super) fn begin_fill(&mut self) {
        let (key, version, bytes) = self.new_object();
        let (bucket, name) = names(&key);
        let len = ByteSize::new(bytes.len() as u64);
        let limits = ReserveLimits { reservations: 1, open: ByteSize::ZERO };
        let is_spare = self.draws.one_in(2);
        let mut reserved = match is_spare {
            true => {
                // The length is rounded up, as clients do.
                let len = ByteSize::new(len.bytes().next_multiple_of(SPARE_GRAIN));
                self.daemon().prepare(&CALLER, [len].into_iter(), limits)
            }
            false => self.daemon().reserve(&CALLER, &bucket, vec![(name, len)], limits),
        };
        match reserved.remove(0) {
            Ok(reservation) => self.fills.push(Fill {
                key,
                version,
                bytes,
                written: 0,
                extents: reservation.extents().to_vec(),
                until: reservation.until(),
                reservation: Some(reservation),
                is_spare,
            }),
            Err(_) => self.seen.refused += 1,
        }
    }

    pub(super) fn go_on_with_fill(&mut self) {
        let Some(mut fill) = self.draws.take(&mut self.fills) else { return };
        if self.draws.one_in(25) {
            // A client that dies takes its connection with it, and that the reservation.
            self.seen.died += 1;
            return;
        }
        if now() >= fill.until {
            return;
        }
        fill.write(&self.segment, self.draws.below(LEN_MAX / 2) as usize);
        self.seen.late_writes += u64::from(fill.reservation.is_none());
        if fill.written < fill.bytes.len() {
            return self.fills.push(fill);
        }
        let checksum = fill.checksum();
        if fill.is_spare {
            return self.name_fill(fill, checksum);
        }
        let Some(reservation) = fill.reservation else { return };
        if self.daemon().commit(&CALLER, vec![(reservation, checksum)])[0].is_ok() {
            self.seen.committed += 1;
            self.store(fill.key, fill.version);
        }
    }

    /// The end of a fill whose key comes now. If the key has an object, the extents are used for
    /// another one.
    fn name_fill(&mut self, mut fill: Fill, checksum: Checksum) {
        let Some(reservation) = fill.reservation.take() else { return };
        let (bucket, key) = names(&fill.key);
        let len = ByteSize::new(fill.bytes.len() as u64);
        let item = StoreItem { reservation, key, len, checksum };
        match self.daemon().store_spares(&CALLER, &bucket, vec![item]).remove(0) {
            Ok(_) => {
                self.seen.committed_late += 1;
                self.store(fill.key, fill.version);
            }
            Err(NotStored { refused, reservation }) => {
                let is_taken = matches!(refused, WriteRefused::Exists | WriteRefused::Pending);
                assert_eq!(reservation.is_some(), is_taken, "{refused}");
                assert!(is_taken || refused == WriteRefused::Expired, "{refused}");
                if let Some(reservation) = reservation {
                    self.seen.spares_kept += 1;
                    let (key, version, _) = self.new_object();
                    let bytes = bytes(fill.bytes.len(), version);
                    let reservation = Some(reservation);
                    self.fills.push(Fill { reservation, key, version, bytes, written: 0, ..fill });
                }
            }
        }
    }

    pub(super) fn store(&mut self, key: String, version: u64) {
        let before = self.stored.insert(key, Stored { version });
        self.forget_evicted();
        assert!(before.is_none(), "an object is stored once, until it is gone");
    }
}
