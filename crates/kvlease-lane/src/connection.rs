//! One connection: frames out, and the answers to them.
//!
//! A call has a connection for itself while it runs. When it is dropped half way, its answer is
//! still to come: the next call on the connection takes it first, and gives back what it granted.
//! So a call that is cancelled ends no other caller's lease.

use std::sync::Arc;

use kvlease_api::lane::{ANSWER_LEN_MAX, Answer, Frame, LeaseRecord, ReservationRecord};
use kvlease_io::LazyStream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{arrived::Arrived, connection_state::ConnectionState, error::Fault};

/// How much of what requests are written to is kept between calls.
const KEPT_LEN_MAX: usize = 256 << 10;

/// The connection, its buffers, and what it is waiting for.
#[derive(Debug)]
pub(super) struct Connection {
    stream: LazyStream<std::os::unix::net::UnixStream>,
    pub(super) state: Arc<ConnectionState>,
    out: Vec<u8>,
    arrived: Arrived,
    /// The number of the last request.
    request: u64,
    /// The last request whose answer was taken. Answers come in their order.
    answered: u64,
    /// Whether part of a request was sent: then nothing else can follow.
    torn: bool,
}

impl Connection {
    pub(super) fn new(stream: tokio::net::UnixStream) -> std::io::Result<Self> {
        Ok(Self {
            stream: LazyStream::new(stream)?,
            state: Arc::new(ConnectionState::new()),
            out: Vec::new(),
            arrived: Arrived::default(),
            request: 0,
            answered: 0,
            torn: false,
        })
    }

    /// Whether another request can follow.
    pub(super) fn is_usable(&self) -> bool {
        !self.torn
    }

    /// Sends a request, which `write` appends under its number, and hands its answer to `read`.
    pub(super) async fn exchange<T>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>, u64),
        mut read: impl FnMut(Answer<'_>, &Arc<ConnectionState>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let number = self.request + 1;
        self.send(number, write).await?;
        self.request = number;
        loop {
            let split = Frame::split(self.arrived.bytes(), ANSWER_LEN_MAX)?;
            let Some((frame, len)) = split else {
                let room = self.arrived.room(missing(self.arrived.bytes()));
                match self.stream.read(room).await? {
                    0 => return Err(Fault::closed()),
                    len => self.arrived.add(len),
                }
                continue;
            };
            let answer = Answer::decode(&frame)?;
            let result = if frame.request == number {
                Some(match answer {
                    Answer::Error(failure) => Err(Fault::Refused {
                        text: failure.text.to_owned(),
                        closes: failure.code.closes(),
                    }),
                    answer => read(answer, &self.state),
                })
            } else if frame.request > self.answered && frame.request < number {
                give_back(&answer, &self.state);
                None
            } else {
                let what = format!("an answer to no request, request=`{}`", frame.request);
                return Err(Fault::Protocol(what));
            };
            self.answered = frame.request;
            self.arrived.take(len);
            if let Some(result) = result {
                return result;
            }
        }
    }

    /// Sends a message that is not answered.
    pub(super) async fn tell(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>, u64),
    ) -> Result<(), Fault> {
        // The number of a request that is never sent: no answer has it.
        self.send(0, write).await
    }

    /// Sends a frame of this number, behind the releases that wait.
    async fn send(
        &mut self,
        number: u64,
        write: impl FnOnce(&mut Vec<u8>, u64),
    ) -> Result<(), Fault> {
        self.out.clear();
        self.state.write_ended(&mut self.out);
        write(&mut self.out, number);
        self.torn = true;
        self.stream.write_all(&self.out).await?;
        self.torn = false;
        self.out.shrink_to(KEPT_LEN_MAX);
        Ok(())
    }

    /// Sends the releases that wait, if that can be done at once. `false` if the connection is of no
    /// more use.
    pub(super) fn flush(&mut self) -> bool {
        self.out.clear();
        self.state.write_ended(&mut self.out);
        let sent =
            self.out.is_empty() || self.stream.try_write(&self.out).ok() == Some(self.out.len());
        self.torn |= !sent;
        sent
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.state.close();
    }
}

/// How much of the frame that has begun is to come.
fn missing(arrived: &[u8]) -> usize {
    Frame::len_of(arrived).map_or(0, |len| len.saturating_sub(arrived.len()))
}

/// Gives back what was granted to a call that is not there any more.
fn give_back(answer: &Answer<'_>, state: &ConnectionState) {
    match answer {
        Answer::Leases(leases) => {
            for record in leases.clone() {
                if let LeaseRecord::Granted(grant, _) = record {
                    state.end_unguarded(grant.sequence);
                }
            }
        }
        Answer::Reservations(reservations) => {
            for record in reservations.clone() {
                if let ReservationRecord::Granted { write, .. } = record {
                    state.give_up(write);
                }
            }
        }
        _ => {}
    }
}
