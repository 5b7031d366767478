//! Counters of the connector.

use std::sync::atomic::{AtomicU64, Ordering};

use kvlease_http::{Error, PutOutcome};

/// Counters of a connector since it was made, and what it keeps now.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct ConnectorStats {
    /// Objects that a read or a look-up found.
    pub hits: u64,
    /// Objects that it did not.
    pub misses: u64,
    /// Bytes of objects that were read whole and good, without what followed the buffer.
    pub bytes_read: u64,
    /// Bytes of objects that were stored.
    pub bytes_written: u64,
    /// Puts that stored an object.
    pub puts_stored: u64,
    /// Puts of a key that had an object.
    pub puts_existed: u64,
    /// Puts that failed.
    pub puts_failed: u64,
    /// Leases that were granted.
    pub leases: u64,
    /// Leases that have ended: over HTTP those that the daemon confirmed; the fast lane takes no
    /// answers, and ends with its leases if it breaks.
    pub leases_released: u64,
    /// Leases whose release failed: they end by their time to live.
    pub release_failures: u64,
    /// Reads whose lease ended, or whose segment was replaced, before the copy was done.
    pub leases_ended: u64,
    /// Reads whose bytes did not match their checksum.
    pub corrupt: u64,
    /// Objects that were larger than leases are accepted for.
    pub too_large: u64,
    /// Reads that went over HTTP, since no shared memory is configured or can be attached.
    pub http_reads: u64,
    /// Objects that were found in the daemon's published index, without asking it.
    pub index_hits: u64,
    /// Leases that are kept for the reads that follow.
    pub cached_leases: u64,
}

/// Numbers that only grow.
#[derive(Default, Debug)]
pub(super) struct Counters {
    pub(super) hits: Count,
    pub(super) misses: Count,
    pub(super) bytes_read: Count,
    pub(super) bytes_written: Count,
    pub(super) puts_stored: Count,
    pub(super) puts_existed: Count,
    pub(super) puts_failed: Count,
    pub(super) leases_ended: Count,
    pub(super) corrupt: Count,
    pub(super) too_large: Count,
    pub(super) http_reads: Count,
    pub(super) index_hits: Count,
}

/// One of them. They order nothing: a snapshot may be of slightly different moments.
#[derive(Default, Debug)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn one(&self) {
        self.add(1);
    }

    pub(super) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    /// Counts a hit or a miss.
    pub(super) fn found(&self, found: bool) {
        if found { self.hits.one() } else { self.misses.one() }
    }

    /// Counts what a put came to.
    pub(super) fn put(
        &self,
        put: Result<PutOutcome, Error>,
        len: Option<u64>,
    ) -> Result<PutOutcome, Error> {
        match &put {
            Ok(PutOutcome::Stored) => {
                self.puts_stored.one();
                self.bytes_written.add(len.unwrap_or(0));
            }
            Ok(PutOutcome::Exists) => self.puts_existed.one(),
            Err(_) => self.puts_failed.one(),
        }
        put
    }

    /// The numbers now, with those of the client, the leases of the fast lane, and how many leases
    /// are cached.
    pub(super) fn snapshot(
        &self,
        client: &kvlease_http::Counters,
        (fast, fast_ended): (u64, u64),
        cached_leases: usize,
    ) -> ConnectorStats {
        ConnectorStats {
            hits: self.hits.get(),
            misses: self.misses.get(),
            bytes_read: self.bytes_read.get(),
            bytes_written: self.bytes_written.get(),
            puts_stored: self.puts_stored.get(),
            puts_existed: self.puts_existed.get(),
            puts_failed: self.puts_failed.get(),
            leases: client.leases_acquired + fast,
            leases_released: client.leases_released + fast_ended,
            release_failures: client.leases_left,
            leases_ended: self.leases_ended.get(),
            corrupt: self.corrupt.get(),
            too_large: self.too_large.get(),
            http_reads: self.http_reads.get(),
            index_hits: self.index_hits.get(),
            cached_leases: cached_leases as u64,
        }
    }
}
