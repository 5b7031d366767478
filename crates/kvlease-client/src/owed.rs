//! Releases whose answers nobody waits for.
//!
//! A release is sent on an idle connection and its answer read before the next request there, when
//! it has long arrived: no thread has to wake for it. No second request is ever sent before that,
//! so that daemons need not know pipelining.

use std::{io, sync::Arc};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};

use crate::{connection::Connection, counters::Counting, framing::Step, head, socket::Socket};

/// How much of an answer is read at a time: it has hardly a body.
const READ_LEN: usize = 1 << 10;

/// The answer that is to come. It is counted once: as good when all of it came and said so, as
/// failed otherwise.
#[derive(Debug)]
pub(crate) struct Owed {
    counting: Arc<Counting>,
    /// What its head said, once that was read.
    success: Option<bool>,
    counted: bool,
}

impl Owed {
    fn count(&mut self, is_released: bool) {
        self.counted = true;
        self.counting.count_release(is_released);
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        if !self.counted {
            // The connection is gone. The lease may be as well, and ends by its time to live if not.
            self.counting.count_release(false);
        }
    }
}

impl Connection<Socket> {
    /// Sends a request without a body, whose answer is read later; `false` if it cannot be sent
    /// at once, after which the connection is of no more use.
    pub(crate) fn send_unawaited(&mut self, request: &str, counting: &Arc<Counting>) -> bool {
        let sent = self.owed.is_none() && self.socket.try_send(request.as_bytes());
        if sent {
            let counting = Arc::clone(counting);
            self.owed = Some(Owed { counting, success: None, counted: false });
            self.used = Instant::now();
        }
        sent
    }

    /// Reads the answer that is owed as far as it has arrived.
    pub(crate) fn try_settle(&mut self) {
        while self.owed.is_some() {
            let mut bytes = [0; READ_LEN];
            let read = match self.socket.try_receive(&mut bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Ok(len) if len > 0 => {
                    self.arrived.extend_from_slice(&bytes[..len]);
                    self.settle_arrived().map(drop)
                }
                Ok(_) => Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) => Err(error),
            };
            if read.is_err() {
                self.owed = None;
                self.keeps_alive = false;
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Reads the answer that is owed to its end, which another request may follow.
    pub(crate) async fn settle(&mut self) -> io::Result<()> {
        while !self.settle_arrived()? {
            if self.read().await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        match self.keeps_alive {
            true => Ok(()),
            false => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }

    /// Takes what has arrived of the owed answer; whether that was all.
    fn settle_arrived(&mut self) -> io::Result<bool> {
        let malformed = |error| io::Error::new(io::ErrorKind::InvalidData, format!("{error:?}"));
        let Some(owed) = &mut self.owed else { return Ok(true) };
        if owed.success.is_none() {
            let parsed = head::parse(&self.arrived, false).map_err(malformed)?;
            let Some((head, len)) = parsed else { return Ok(false) };
            let _ = self.arrived.split_to(len);
            self.framing = head.framing;
            self.keeps_alive &= head.keeps_alive;
            owed.success = Some(head.status.is_success());
        }
        loop {
            match self.framing.next(&mut self.arrived).map_err(malformed)? {
                Step::Bytes(_) => {}
                Step::More => return Ok(false),
                Step::End => break,
            }
        }
        owed.count(owed.success == Some(true));
        self.owed = None;
        Ok(true)
    }
}
