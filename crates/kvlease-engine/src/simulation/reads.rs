//! Reads of objects: under leases, and over HTTP.

use std::time::Duration;

use kvlease_sys::Digest;
use kvlease_testing::bytes;
use kvlease_types::{Epoch, Miss, Mode};

use super::{
    clients::{Copy, Reader},
    world::{BUCKET, CALLER, GRACE, LEN_MAX, Stored, TTL, World},
};
use crate::{
    ReadError,
    clock::{now, virtual_clock},
    read::Read,
};

impl World {
    pub(super) fn lease(&mut self) {
        let key = self.key();
        let ttl = Duration::from_millis(self.draws.below(TTL.as_millis() as u64));
        let grants = self.daemon().acquire(&CALLER, BUCKET, &[&key], Mode::Each, Some(ttl));
        let lease = match grants.first() {
            Ok(lease) => lease.clone(),
            Err(Miss::Pending) => return,
            Err(Miss::Corrupt) => {
                let stored = self.stored.remove(&key).expect("only what is there is looked at");
                let flipped = self.flipped.contains(&stored.version);
                assert!(flipped, "{key} is whole and found corrupt");
                self.seen.damage_refused += 1;
                return;
            }
            Err(_) => {
                self.forget_evicted();
                assert!(!self.stored.contains_key(&key), "{key} is there and not leased");
                return;
            }
        };
        let Stored { version } = self.stored[&key];
        let known = lease.verified;
        assert!(known || !self.flipped.contains(&version), "{key} is corrupt and leased");
        if self.draws.one_in(10) {
            // The client went away before it heard of its lease.
            return;
        }
        self.readers.push(Reader {
            lease: lease.id,
            version,
            checksum: lease.checksum,
            until: lease.deadline.after(GRACE),
            copy: Copy { extents: lease.extents.to_vec(), bytes: Vec::new() },
        });
        self.seen.leased += 1;
        grants.deliver();
    }

    pub(super) fn go_on_reading(&mut self) {
        let Some(mut reader) = self.draws.take(&mut self.readers) else { return };
        let all = reader.copy.copy(&self.segment, self.draws.below(LEN_MAX / 8) as usize);
        if now() >= reader.until {
            // Too late: it has to throw away what it copied.
            return;
        }
        let copied = &reader.copy.bytes;
        let right = *copied == bytes(copied.len(), reader.version);
        assert!(
            right || self.flipped.contains(&reader.version),
            "version {} was changed under a lease, after {} restarts",
            reader.version,
            self.seen.restarts
        );
        if !all {
            return self.readers.push(reader);
        }
        assert!(!right || Digest::of(copied) == reader.checksum, "the checksum is its own");
        self.seen.read_in_time += 1;
        let released = self.daemon().state().catalog.release(&CALLER, reader.lease, now());
        let of_earlier = reader.lease.epoch != Epoch::new(self.epoch);
        self.seen.read_across_a_restart += u64::from(of_earlier);
        assert!(released.is_none() || !of_earlier, "a lease ends with its daemon");
    }

    pub(super) fn renew(&mut self) {
        let Some(mut reader) = self.draws.take(&mut self.readers) else { return };
        if self.daemon().renew(&CALLER, &[reader.lease], Some(TTL)).live[0] {
            reader.until = now().after(TTL + GRACE);
        }
        self.readers.push(reader);
    }

    /// Reads over HTTP, with pauses between the pieces.
    pub(super) fn stream(&mut self) {
        let key = self.key();
        let grants = self.daemon().acquire_for_read(&CALLER, BUCKET, &key);
        let Ok(mut read) = Read::new(grants) else { return };
        let Stored { version } = self.stored[&key];
        let mut read_bytes = Vec::new();
        loop {
            match read.next_piece() {
                Ok(Some(piece)) => read_bytes.extend(piece),
                Ok(None) => break,
                Err(ReadError::TooSlow) => return,
                Err(ReadError::StoreFailed) => panic!("an object of the arena needs no store"),
                Err(ReadError::Corrupt) => {
                    assert!(self.flipped.contains(&version), "{key} is whole and found corrupt");
                    self.seen.damage_found += 1;
                    self.stored.remove(&key);
                    return;
                }
            }
            virtual_clock::pass(Duration::from_millis(self.draws.below(20_000)));
        }
        assert!(read_bytes == bytes(read_bytes.len(), version), "{key} was sent with wrong bytes");
        self.seen.streamed += 1;
    }
}
