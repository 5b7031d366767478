//! An object's bytes over HTTP, for clients without shared memory.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use kvlease_shm::Digest;
use kvlease_types::{ByteSize, Checksum, Key};
use tokio::time::{Instant, timeout_at};

use crate::{Error, client::timed_out, pool::Busy, reply::Call};

/// The bytes of one object as they arrive. Dropping it early closes its connection.
///
/// The bytes are known to be good only when [`Self::next`] has returned `None`.
#[derive(Debug)]
pub struct ObjectStream {
    pub(crate) key: Key,
    pub(crate) call: Call,
    pub(crate) len: ByteSize,
    pub(crate) expected: Option<Checksum>,
    pub(crate) incoming: Incoming,
    pub(crate) busy: Option<Busy>,
    pub(crate) arrived: u64,
    pub(crate) digest: Digest,
    pub(crate) started: Instant,
    pub(crate) deadline: Instant,
}

impl ObjectStream {
    /// The object's length.
    pub fn len(&self) -> ByteSize {
        self.len
    }

    /// Whether the object has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == ByteSize::ZERO
    }

    /// The next bytes, or `None` after the last ones.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] in the place of the end if the bytes do not match their checksum;
    /// [`Error::Broken`], [`Error::Protocol`] and [`Error::TimedOut`] if they do not arrive.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let frame = timeout_at(self.deadline, self.incoming.frame());
            let frame = frame
                .await
                .map_err(|_| timed_out(&self.call, self.deadline - self.started))?
                .transpose()
                .map_err(|error| self.call.broken(error))?;
            let Some(frame) = frame else { return self.end().map(|()| None) };
            let Ok(data) = frame.into_data() else { continue };
            self.arrived += data.len() as u64;
            if self.expected.is_some() {
                self.digest.update(&data);
            }
            return Ok(Some(data));
        }
    }

    fn end(&mut self) -> Result<(), Error> {
        if self.arrived != self.len.bytes() {
            let (arrived, len) = (self.arrived, self.len.bytes());
            return Err(self.call.protocol(format!("bytes=`{arrived}` expected=`{len}`")));
        }
        if let Some(busy) = self.busy.take() {
            busy.finish();
        }
        check(&self.key, self.expected, self.digest.finish())
    }
}

/// Compares what was read with what the daemon has, if it said.
pub(crate) fn check(key: &Key, expected: Option<Checksum>, actual: Checksum) -> Result<(), Error> {
    match expected {
        Some(expected) if expected != actual => {
            Err(Error::Damaged { key: key.clone(), expected, actual })
        }
        _ => Ok(()),
    }
}
