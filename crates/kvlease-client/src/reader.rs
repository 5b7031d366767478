//! Reads: lease, copy out of shared memory, check, release.
//!
//! A copy counts only if the lease still held when it was done, judged by the client's own
//! monotonic clock from before the request left, and if the copied bytes match the checksum. The
//! checksum is taken of the private copy, so that bytes which change during the copy are noticed.

use std::{
    io,
    sync::{Arc, PoisonError},
    time::Duration,
};

use kvlease_attach::Attachment;
use kvlease_types::Key;
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::block_in_place,
};

use crate::{Client, Error, stream::check};

/// How long a read waits for an object that is being written.
const WRITE_WAIT: Duration = Duration::from_secs(1);

/// The time to live that a read asks for: a generous bound on the copy of one object.
const READ_TTL: Duration = Duration::from_secs(30);

/// Copies up to this length are done where they are: shorter than handing the thread over.
const COPY_IN_PLACE_LEN_MAX: usize = 1 << 20;

impl Client {
    /// Reads an object into `buffer`, whose length becomes the object's, from shared memory if
    /// it is configured and over HTTP otherwise. `false` on a miss.
    ///
    /// After an error or a miss the buffer's content is unspecified. A buffer that is used again
    /// saves the page faults of a fresh one.
    ///
    /// # Errors
    ///
    /// [`Error::Attach`] if the segment cannot be mapped, [`Error::LeaseEnded`] if the copy took
    /// longer than the lease, [`Error::Damaged`] if the bytes do not match their checksum.
    pub async fn read(&self, key: &Key, buffer: &mut Vec<u8>) -> Result<bool, Error> {
        if self.shared.config.shared_memory_name.is_none() {
            return self.read_over_http(key, buffer).await;
        }
        let Some(lease) = self.lease(key, WRITE_WAIT, READ_TTL).await? else { return Ok(false) };
        let attachment = self.attach()?;
        let outside = |source| Error::OutsideSegment { key: key.clone(), source };
        // Checked against the segment, so that no buffer is made as long as a broken daemon says,
        // and not longer than the mapping, which is in memory.
        let len = attachment.measure(lease.extents()).map_err(outside)?;
        set_len(buffer, len.bytes() as usize);
        let actual = {
            let copied = in_place(buffer.len(), || match lease.checksum() {
                Some(_) => attachment.copy_out_digested(lease.extents(), buffer).map(Some),
                None => attachment.copy_out(lease.extents(), buffer).map(|()| None),
            });
            copied.map_err(outside)?
        };
        if !lease.is_live() {
            return Err(Error::LeaseEnded { key: key.clone() });
        }
        if let Some(actual) = actual {
            check(key, lease.checksum(), actual)?;
        }
        // The bytes are good whatever becomes of the release.
        let _ = lease.release().await;
        Ok(true)
    }

    /// The configured segment, mapped now or before. It is mapped anew when its name has become
    /// that of another file.
    ///
    /// # Errors
    ///
    /// [`Error::NoSharedMemory`] and [`Error::Attach`].
    pub fn attach(&self) -> Result<Arc<Attachment>, Error> {
        let config = &self.shared.config;
        let name = config.shared_memory_name.as_ref().ok_or(Error::NoSharedMemory)?;
        // The section replaces one value: a panic cannot leave it half changed.
        let mut cached = self.shared.attachment.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(attachment) = cached.as_ref().filter(|attachment| attachment.is_current()) {
            return Ok(Arc::clone(attachment));
        }
        match (Attachment::open(&config.shared_memory_dir, name), cached.as_ref()) {
            (Ok(attachment), _) => Ok(Arc::clone(cached.insert(Arc::new(attachment)))),
            // The exit of some client removed the name; the daemon puts it back to the same file.
            (Err(error), Some(attachment)) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Arc::clone(attachment))
            }
            (Err(source), _) => Err(Error::Attach { name: name.clone(), source }),
        }
    }

    /// Gives up what is kept for later calls: the mapping, which goes when nobody reads from it any
    /// more, and the idle connections. A later call has to make them anew.
    pub(crate) fn let_go(&self) {
        self.shared.attachment.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.shared.pool.close_idle();
    }

    async fn read_over_http(&self, key: &Key, buffer: &mut Vec<u8>) -> Result<bool, Error> {
        let Some(mut stream) = self.get(key).await? else { return Ok(false) };
        buffer.clear();
        while let Some(bytes) = stream.next().await? {
            buffer.extend_from_slice(&bytes);
        }
        Ok(true)
    }
}

/// Sets the length without writing to bytes that are there: they are about to be overwritten.
fn set_len(buffer: &mut Vec<u8>, len: usize) {
    if buffer.capacity() < len {
        // Fresh zeroed pages from the system, rather than writing zeros over used ones.
        *buffer = vec![0; len];
    } else if buffer.len() < len {
        buffer.resize(len, 0);
    } else {
        buffer.truncate(len);
    }
}

/// Runs a copy of `len` bytes without holding up other tasks of this thread, where that can be.
fn in_place<T>(len: usize, copy: impl FnOnce() -> T) -> T {
    let several_threads = Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread;
    if len > COPY_IN_PLACE_LEN_MAX && several_threads { block_in_place(copy) } else { copy() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_that_is_long_enough_is_kept() {
        let mut buffer = vec![7; 10];
        let start = buffer.as_ptr();
        set_len(&mut buffer, 4);
        set_len(&mut buffer, 10);
        assert_eq!((buffer.as_ptr(), buffer.len()), (start, 10));
        set_len(&mut buffer, 1000);
        assert_eq!(buffer.len(), 1000);
    }
}
