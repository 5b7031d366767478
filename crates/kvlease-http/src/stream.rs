//! An object's bytes over HTTP, for clients without shared memory.

use std::sync::Arc;

use bytes::Bytes;
use kvlease_sys::Digest;
use kvlease_types::{ByteSize, Checksum, Key};

use crate::{
    Error, RequestId, call::Limit, core::Core, operation::Operation, pool::PooledConnection,
    reply::Call,
};

/// The bytes of one object as they arrive. Dropping it early closes its connection.
///
/// The bytes are known to be good only when [`Self::next`] has returned `None`.
#[derive(Debug)]
pub struct ObjectStream {
    pub(crate) key: Key,
    pub(crate) core: Arc<Core>,
    pub(crate) len: ByteSize,
    pub(crate) expected: Option<Checksum>,
    /// Checked in at the end.
    pub(crate) pooled: Option<PooledConnection>,
    pub(crate) digest: Digest,
    pub(crate) limit: Limit,
    /// Id of the request.
    pub(crate) id: RequestId,
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
    /// [`Error::Corrupt`] in the place of the end if the bytes do not match their checksum;
    /// [`Error::Broken`], [`Error::Protocol`] and [`Error::TimedOut`] if they do not arrive.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let Some(pooled) = &mut self.pooled else { return self.end().map(|()| None) };
        let (core, key, id) = (&self.core, Some(&self.key), self.id);
        let call = Call { core, operation: Operation::Get, key, id };
        let next =
            async { pooled.connection.next_bytes().await.map_err(|fault| call.broken(fault)) };
        let limit = self.limit.at_most(self.core.config.timeouts.stall);
        let next = limit.apply(&call, next).await;
        let Some(bytes) = next.inspect_err(|error| self.core.note_failure(error))? else {
            return self.end().map(|()| None);
        };
        if self.expected.is_some() {
            self.digest.update(&bytes);
        }
        Ok(Some(bytes))
    }

    fn end(&mut self) -> Result<(), Error> {
        if let Some(pooled) = self.pooled.take() {
            pooled.check_in();
        }
        check_sum(&self.key, self.expected, self.digest.finish())
    }
}

/// Compares what was read with what the daemon has, if it said.
pub fn check_sum(key: &Key, expected: Option<Checksum>, actual: Checksum) -> Result<(), Error> {
    match expected {
        Some(expected) if expected != actual => {
            Err(Error::Corrupt { key: key.clone(), expected, actual })
        }
        _ => Ok(()),
    }
}
