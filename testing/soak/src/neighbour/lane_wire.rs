//! The fast lane by hand: frames that no well-behaved client sends.

use std::{
    io::{self, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    path::Path,
    time::Duration,
};

use kvlease_api::lane::{ANSWER_LEN_MAX, Frame, Hello, VERSION};

/// Limit of a read or a write.
const WITHIN: Duration = Duration::from_secs(20);

/// Connection to a fast lane. The descriptors that come with the welcome are dropped.
#[derive(Debug)]
pub(super) struct LaneWire {
    stream: UnixStream,
    arrived: Vec<u8>,
}

impl LaneWire {
    /// Connection that has its welcome.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(WITHIN))?;
        stream.set_write_timeout(Some(WITHIN))?;
        let mut wire = Self { stream, arrived: Vec::new() };
        let mut hello = Vec::new();
        Hello { version: VERSION, writes: true }.write(&mut hello, 0);
        wire.call(&hello, |_| ())?;
        Ok(wire)
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends as much as the daemon takes within this time.
    pub(super) fn send_until_stuck(&mut self, bytes: &[u8], within: Duration) {
        // What it does not take, and whether it has closed, shows at the next look.
        let _ = self.stream.set_write_timeout(Some(within));
        let _ = self.stream.write_all(bytes);
    }

    /// Sends a frame, and reads the next one with `read`.
    pub(super) fn call<T>(
        &mut self,
        frame: &[u8],
        read: impl Fn(&Frame<'_>) -> T,
    ) -> io::Result<T> {
        self.send(frame)?;
        loop {
            let split = Frame::split(&self.arrived, ANSWER_LEN_MAX).map_err(io::Error::other)?;
            if let Some((frame, len)) = split {
                let result = read(&frame);
                self.arrived.drain(..len);
                return Ok(result);
            }
            let mut bytes = [0; 16 << 10];
            match self.stream.read(&mut bytes)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => self.arrived.extend_from_slice(&bytes[..read]),
            }
        }
    }
}

impl AsFd for LaneWire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
