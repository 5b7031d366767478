//! Bytes that were received and not yet read as frames.

use std::{io, time::Duration};

use kvlease_api::lane::{FRAME_LEN_MAX, Frame, FrameTooLong, HEADER_LEN};
use tokio::{io::AsyncReadExt, net::UnixStream, time::Instant};

use crate::connection_memory::{ConnectionMemory, Held, Purpose};

/// Room of a connection's place: for one read, and for frames of this length.
const READ_LEN: usize = 16 << 10;

/// Bytes of frames after which a connection lets others go first: some hundred keys.
const TURN_LEN: usize = 64 << 10;

/// How long a frame may take from its first bytes to its last, and how long it waits for memory. A
/// client writes a frame at once, so a longer one has stopped, or wants to occupy memory.
const FRAME_LIMIT: Duration = Duration::from_secs(5);

/// Bytes of a client, in the order of their arrival. Holds at most one frame that is not whole
/// and what came with it.
#[derive(Default, Debug)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
    /// How many of them were frames that are done with.
    done: usize,
    /// How many bytes of frames were done with in this turn of the connection.
    turn: usize,
    /// Memory for a room that is longer than [`READ_LEN`].
    held: Option<Held>,
    /// When the frame that is not whole has to be.
    deadline: Option<Instant>,
}

impl Inbox {
    /// The next frame that is whole, and its length for [`Inbox::pass`].
    pub(super) fn front(&self) -> Result<Option<(Frame<'_>, usize)>, FrameTooLong> {
        Frame::split(&self.bytes[self.done..], FRAME_LEN_MAX)
    }

    /// Goes on behind a frame of this length.
    pub(super) fn pass(&mut self, len: usize) {
        self.done += len;
        self.turn += len;
        self.deadline = None;
    }

    /// Whether others come first now.
    pub(super) const fn has_had_turn(&self) -> bool {
        self.turn >= TURN_LEN
    }

    /// Whether the connection has had its turn. Then the next one begins.
    pub(super) fn ends_turn(&mut self) -> bool {
        let ends = self.has_had_turn();
        if ends {
            self.turn = 0;
        }
        ends
    }

    /// Forgets the frames that are done with, and gives their room back where others need it.
    /// Returns when the frame that is not whole has to be; `None` if there is none.
    pub(super) fn settle(&mut self, memory: &ConnectionMemory) -> Option<Instant> {
        self.bytes.drain(..self.done);
        self.done = 0;
        if self.bytes.is_empty() {
            self.deadline = None;
            if self.held.is_some() && memory.is_scarce(Purpose::Frames) {
                self.shrink();
            }
        } else if self.deadline.is_none() {
            self.deadline = Some(Instant::now() + FRAME_LIMIT);
        }
        self.deadline
    }

    /// Waits until something is there, and takes it in. Returns how much that was: none at the end
    /// of the stream. Nothing is lost when this is given up.
    ///
    /// The stream remembers that a read which did not fill the room has emptied the socket, so no
    /// read is made in vain. Room is not made before there is something for it.
    pub(super) async fn receive(
        &mut self,
        stream: &mut UnixStream,
        memory: &ConnectionMemory,
    ) -> io::Result<usize> {
        stream.readable().await?;
        let frame = Frame::len_of(&self.bytes[self.done..]).unwrap_or(HEADER_LEN);
        let room = (self.done + frame.min(HEADER_LEN + FRAME_LEN_MAX)).max(READ_LEN);
        if self.bytes.capacity() < room {
            self.take_memory(room, memory).await?;
            self.bytes.reserve_exact(room - self.bytes.len());
        }
        stream.read_buf(&mut self.bytes).await
    }

    /// Takes memory for a room of this length, which is more than there is.
    async fn take_memory(&mut self, room: usize, memory: &ConnectionMemory) -> io::Result<()> {
        let len = room.saturating_sub(READ_LEN + self.held.as_ref().map_or(0, Held::len));
        if len > 0 {
            let more = memory.take(Purpose::Frames, len, FRAME_LIMIT).await;
            let more = more.ok_or(io::ErrorKind::TimedOut)?;
            match &mut self.held {
                Some(held) => held.merge(more),
                None => self.held = Some(more),
            }
        }
        Ok(())
    }

    /// Gives memory back that is not needed for what is here.
    pub(super) fn shrink(&mut self) {
        self.bytes.drain(..self.done);
        self.done = 0;
        self.bytes.shrink_to_fit();
        // What is left of a long frame keeps its memory until the frame is whole.
        if self.bytes.len() <= READ_LEN {
            self.held = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_ends_with_its_bytes_and_another_begins() {
        let mut inbox = Inbox::default();
        inbox.pass(TURN_LEN - 1);
        assert!(!inbox.ends_turn());
        inbox.pass(1);
        assert!(inbox.has_had_turn() && inbox.ends_turn());
        assert!(!inbox.ends_turn());
    }
}
