//! A client as the stock ones are: leases over HTTP, and bytes out of the named shared memory, with
//! no check of its own.

use std::{
    fs::{File, OpenOptions},
    io,
    net::SocketAddr,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use kvlease_api::LeaseReply;

use crate::{
    endpoint::object,
    segment::SHM_DIR,
    wire::{Reply, Wire},
};

/// Whether a stock client attaches again to a name that is another file's by now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Attaches {
    /// Never, as LMCache's in-process connector.
    Once,
    /// At each read, as LMCache's multi-process adapter.
    ToTheName,
}

/// Client as the stock ones are.
#[derive(Debug)]
pub struct StockClient {
    address: SocketAddr,
    path: PathBuf,
    attaches: Attaches,
    segment: Option<File>,
    limit: Duration,
}

/// Result of a read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StockRead {
    /// These bytes; they were read while the lease lasted, by the client's own clock.
    Bytes(Vec<u8>),
    /// The lease ended before: a stock client would use these bytes, and is not entitled to them.
    Late,
    /// There is no object.
    Absent,
    /// The daemon grants no lease, with this status.
    Refused(u16),
}

impl StockClient {
    /// Client of the daemon at this address and of the segment of this name, each of whose requests
    /// has this limit.
    pub fn new(address: SocketAddr, segment: &str, attaches: Attaches, limit: Duration) -> Self {
        let path = Path::new(SHM_DIR).join(segment);
        Self { address, path, attaches, segment: None, limit }
    }

    /// Stores an object. Returns the status.
    pub fn put(&self, bucket: &str, key: &str, bytes: &[u8]) -> io::Result<u16> {
        Ok(self.call("PUT", &object(bucket, key), bytes)?.status)
    }

    /// Removes an object. Returns the status.
    pub fn remove(&self, bucket: &str, key: &str) -> io::Result<u16> {
        Ok(self.call("DELETE", &object(bucket, key), b"")?.status)
    }

    /// Asks whether there is an object. Returns the status.
    pub fn exists(&self, bucket: &str, key: &str) -> io::Result<u16> {
        Ok(self.call("HEAD", &object(bucket, key), b"")?.status)
    }

    /// Reads an object under a lease of this time, and releases it.
    pub fn get(&mut self, bucket: &str, key: &str, ttl: Duration) -> io::Result<StockRead> {
        let (wait, ttl_s) = (self.limit.as_millis() / 2, ttl.as_secs_f64());
        let path = format!("{}/leases?timeout_ms={wait}&ttl_s={ttl_s}", object(bucket, key));
        let asked = Instant::now();
        let reply = self.call("POST", &path, b"")?;
        match reply.status {
            200 => {}
            404 | 504 => return Ok(StockRead::Absent),
            status => return Ok(StockRead::Refused(status)),
        }
        let lease: LeaseReply = serde_json::from_slice(&reply.body)?;
        let granted = Duration::from_secs_f64(lease.ttl_s.unwrap_or(ttl_s));
        let bytes = self.read(&lease)?;
        let late = asked.elapsed() >= granted;
        self.call("POST", &format!("/v1/leases/{}/release", lease.id), b"")?;
        Ok(if late { StockRead::Late } else { StockRead::Bytes(bytes) })
    }

    fn read(&mut self, lease: &LeaseReply) -> io::Result<Vec<u8>> {
        if self.attaches == Attaches::ToTheName && !self.is_current()? {
            self.segment = None;
        }
        let segment = match self.segment.take() {
            Some(segment) => segment,
            // Python's shared memory knows no other way: a segment that cannot be written fails.
            None => OpenOptions::new().read(true).write(true).open(&self.path)?,
        };
        let mut bytes = Vec::new();
        for extent in &lease.offsets {
            let start = bytes.len();
            bytes.resize(start + extent.len as usize, 0);
            segment.read_exact_at(&mut bytes[start..], extent.offset)?;
        }
        self.segment = Some(segment);
        Ok(bytes)
    }

    /// True if the name is that of the attached file.
    fn is_current(&self) -> io::Result<bool> {
        let Some(segment) = &self.segment else { return Ok(false) };
        let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
        Ok(std::fs::metadata(&self.path).map(identity).ok() == Some(identity(segment.metadata()?)))
    }

    /// Reply to one request on a connection of its own.
    fn call(&self, method: &str, path: &str, body: &[u8]) -> io::Result<Reply> {
        Wire::try_open_within(self.address, self.limit)?.try_call(method, path, body)
    }
}
