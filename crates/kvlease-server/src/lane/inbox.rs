//! Bytes that were received and not yet read as frames.

use std::io;

use kvlease_api::lane::{FRAME_LEN_MAX, Frame, FrameTooLong, HEADER_LEN};
use tokio::{io::AsyncReadExt, net::UnixStream};

/// The least that one read has room for.
const READ_LEN_MIN: usize = 16 << 10;

/// Bytes of a client, in the order of their arrival. Holds at most one frame that is not whole
/// and what came with it.
#[derive(Default, Debug)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
    /// How many of them were frames that are done with.
    done: usize,
}

impl Inbox {
    /// The next frame that is whole.
    pub(super) fn next(&mut self) -> Result<Option<Frame<'_>>, FrameTooLong> {
        match Frame::split(&self.bytes[self.done..], FRAME_LEN_MAX)? {
            Some((frame, len)) => {
                self.done += len;
                Ok(Some(frame))
            }
            None => Ok(None),
        }
    }

    /// Waits until something is there, and takes it in. Returns how much that was: none at the end
    /// of the stream. Nothing is lost when this is given up.
    ///
    /// The stream remembers that a read which did not fill the room has emptied the socket, so no
    /// read is made in vain. Room is not made before there is something for it.
    pub(super) async fn receive(&mut self, stream: &mut UnixStream) -> io::Result<usize> {
        stream.readable().await?;
        self.bytes.drain(..self.done);
        self.done = 0;
        let frame = Frame::len_of(&self.bytes).unwrap_or(HEADER_LEN);
        self.bytes.reserve(frame.saturating_sub(self.bytes.len()).max(READ_LEN_MIN));
        stream.read_buf(&mut self.bytes).await
    }

    /// Gives memory back that is not needed for what is here.
    pub(super) fn shrink(&mut self) {
        self.bytes.drain(..self.done);
        self.done = 0;
        self.bytes.shrink_to_fit();
    }
}
