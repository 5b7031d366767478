//! One connection: frames out, and the answers to them.
//!
//! A call has a connection for itself while it runs. When it is dropped half way, its answer is
//! still to come, before or behind that of the next call: a later call or a task takes it and gives back
//! what it granted. So a call that is cancelled ends no other caller's lease.

use std::{io, sync::Arc, time::Instant};

use kvlease_api::lane::{ANSWER_LEN_MAX, Answer, Frame, LeaseRecord, ReservationRecord};
use kvlease_io::LazyStream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    arrived::Arrived,
    connection_state::ConnectionState,
    error::Fault,
    posted::{Posted, PostedQueue},
    spares::{Spare, Spares},
    unanswered::Unanswered,
};

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
    /// Requests whose answers are to come.
    unanswered: Unanswered,
    /// Whether part of a request was sent: then nothing else can follow.
    torn: bool,
    /// Whether a task takes the answers to calls that were given up.
    takes_late: bool,
    /// Reservations ahead of need.
    pub(super) spares: Spares,
    /// Posted puts whose answers are to come.
    pub(super) posted: PostedQueue,
}

impl Connection {
    pub(super) fn new(stream: tokio::net::UnixStream) -> std::io::Result<Self> {
        Ok(Self {
            stream: LazyStream::new(stream)?,
            state: Arc::new(ConnectionState::new()),
            out: Vec::new(),
            arrived: Arrived::default(),
            request: 0,
            unanswered: Unanswered::default(),
            torn: false,
            takes_late: false,
            spares: Spares::default(),
            posted: PostedQueue::default(),
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
        read: impl FnMut(Answer<'_>, &Arc<ConnectionState>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let number = self.request + 1;
        self.begin();
        write(&mut self.out, number);
        self.send(number).await?;
        self.receive(number, read).await
    }

    /// The same, and asks for spare reservations where some are wanted. That answer comes behind the
    /// other one and is not waited for.
    pub(super) async fn exchange_preparing<T>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>, u64),
        read: impl FnMut(Answer<'_>, &Arc<ConnectionState>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let number = self.send_preparing(write).await?;
        self.receive(number, read).await
    }

    /// Sends a request that is the commit of a posted put, and asks for spare reservations where some are
    /// wanted. No answer is waited for. Returns whether the connection has no other posted put.
    pub(super) async fn post(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>, u64),
        posted: impl FnOnce(u64) -> Posted,
    ) -> Result<bool, Fault> {
        let number = self.send_preparing(write).await?;
        Ok(self.posted.push(posted(number)))
    }

    /// Sends a request, and behind it a question for spare reservations where some are wanted. Returns the
    /// request's number.
    async fn send_preparing(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>, u64),
    ) -> Result<u64, Fault> {
        let number = self.request + 1;
        self.begin();
        write(&mut self.out, number);
        let Self { spares, out, state, .. } = self;
        let asks = spares.write_question(out, number + 1, Instant::now(), state);
        self.send(number + u64::from(asks)).await?;
        Ok(number)
    }

    /// Takes a spare reservation for a posted put of this length. Waits until there is room for one more of
    /// them, and for spare reservations that are to come or that posted puts may leave over.
    pub(super) async fn await_spare(&mut self, len: u64) -> Result<Option<Spare>, Fault> {
        self.take_arrived()?;
        if self.spares.awaits(len) {
            self.spares.want_more(len);
        }
        let comes = |this: &Self| {
            this.spares.awaits(len) || this.spares.lacks(len) && !this.posted.is_empty()
        };
        while !self.posted.has_room(len) || comes(self) {
            self.await_passed().await?;
        }
        Ok(self.spares.take(len, Instant::now(), &self.state))
    }

    /// Waits for the answers to all posted puts.
    pub(super) async fn await_posted(&mut self) -> Result<(), Fault> {
        while !self.posted.is_empty() {
            self.await_passed().await?;
        }
        Ok(())
    }

    /// Takes one answer that no call waits for, or waits for bytes.
    async fn await_passed(&mut self) -> Result<(), Fault> {
        if self.pass()? { Ok(()) } else { self.read().await }
    }

    /// Waits for bytes.
    async fn read(&mut self) -> Result<(), Fault> {
        let room = self.arrived.room(missing(self.arrived.bytes()));
        match self.stream.read(room).await? {
            0 => Err(Fault::closed()),
            len => {
                self.arrived.add(len);
                Ok(())
            }
        }
    }

    /// Takes a spare reservation for an object of this length. What has arrived is looked at; nothing is
    /// waited for.
    pub(super) fn take_spare(&mut self, len: u64) -> Result<Option<Spare>, Fault> {
        self.take_arrived()?;
        Ok(self.spares.take(len, Instant::now(), &self.state))
    }

    /// Begins what is sent next with what has ended.
    fn begin(&mut self) {
        self.out.clear();
        self.state.write_ended(&mut self.out);
    }

    /// Sends requests up to this number.
    async fn send(&mut self, last: u64) -> Result<(), Fault> {
        self.torn = true;
        self.stream.write_all(&self.out).await?;
        (self.request + 1..=last).for_each(|request| self.unanswered.push(request));
        (self.request, self.torn) = (last, false);
        self.out.shrink_to(KEPT_LEN_MAX);
        Ok(())
    }

    /// Waits for the answer to the request of this number, and hands it to `read`.
    async fn receive<T>(
        &mut self,
        number: u64,
        mut read: impl FnMut(Answer<'_>, &Arc<ConnectionState>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        loop {
            let split = Frame::split(self.arrived.bytes(), ANSWER_LEN_MAX)?;
            let Some((frame, len)) = split else {
                self.read().await?;
                continue;
            };
            if frame.request != number {
                self.pass()?;
                continue;
            }
            let result = match Answer::decode(&frame)? {
                Answer::Error(failure) => Err(Fault::Refused {
                    text: failure.text.to_owned(),
                    closes: failure.code.closes(),
                }),
                answer => read(answer, &self.state),
            };
            self.unanswered.take(number);
            self.arrived.take(len);
            return result;
        }
    }

    /// Takes the answers that have arrived and that no call waits for.
    fn take_arrived(&mut self) -> Result<(), Fault> {
        while self.pass()? {}
        if self.unanswered.is_empty() {
            return Ok(());
        }
        let room = self.arrived.room(missing(self.arrived.bytes()));
        match self.stream.try_read(room) {
            Ok(0) => return Err(Fault::closed()),
            Ok(len) => self.arrived.add(len),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        while self.pass()? {}
        Ok(())
    }

    /// Takes the first answer that has arrived, if it is whole, which no call waits for: that to a posted
    /// put, that about spare reservations, or one to a call that was given up.
    fn pass(&mut self) -> Result<bool, Fault> {
        let split = Frame::split(self.arrived.bytes(), ANSWER_LEN_MAX)?;
        let Some((frame, len)) = split else { return Ok(false) };
        if !self.unanswered.take(frame.request) {
            let what = format!("an answer to no request, request=`{}`", frame.request);
            return Err(Fault::Protocol(what));
        }
        let answer = Answer::decode(&frame)?;
        let Self { spares, posted, state, .. } = self;
        match posted.take(frame.request) {
            Some(posted) => posted.settle(&answer, spares, state),
            None if spares.take_answer(frame.request, &answer, state) => {}
            None => give_back(&answer, state),
        }
        self.arrived.take(len);
        Ok(true)
    }

    /// Sends a message that is not answered.
    pub(super) async fn tell(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>, u64),
    ) -> Result<(), Fault> {
        self.begin();
        // The number of a request that is never sent: no answer has it.
        write(&mut self.out, 0);
        self.send(self.request).await
    }

    /// Whether a task has to begin that takes the answers to calls that were given up: no call uses the
    /// connection now, and there are some to come.
    pub(super) fn begins_late(&mut self) -> bool {
        !self.takes_late && self.awaits_late()
    }

    /// Whether that task has to go on: there are more than those to posted puts and about spare
    /// reservations.
    pub(super) fn awaits_late(&mut self) -> bool {
        let others = self.posted.len() + usize::from(self.spares.is_asked());
        self.takes_late = !self.torn && self.unanswered.len() > others;
        self.takes_late
    }

    /// Sends the releases that wait, if that can be done at once. `false` if the connection is of no
    /// more use.
    pub(super) fn flush(&mut self) -> bool {
        self.torn |= self.take_arrived().is_err();
        self.spares.end_idle(Instant::now(), &self.state);
        self.begin();
        let sent =
            self.out.is_empty() || self.stream.try_write(&self.out).ok() == Some(self.out.len());
        self.torn |= !sent;
        !self.torn
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
