//! A client of the fast lane that sends exactly what a test says. Every read has a limit, so a
//! daemon that hangs fails the test.

use std::{
    fs::File,
    io::{self, ErrorKind, IoSliceMut, Read, Write},
    mem::MaybeUninit,
    net::Shutdown,
    os::{
        fd::OwnedFd,
        unix::{fs::FileExt, net::UnixStream},
    },
    path::Path,
    thread::sleep,
    time::Duration,
};

use kvlease_api::lane::{
    ANSWER_LEN_MAX, Answer, Commit, CommitWriter, DoneStatus, FailureCode, Frame, Hello, IdsWriter,
    KeysWriter, LeaseGrant, LeaseRecord, LeaseStatus, Mode, RequestedObject, ReservationRecord,
    ReserveStatus, ReserveWriter, VERSION, Welcome,
};
use kvlease_sys::Digest;
use kvlease_types::{BucketName, ByteSize, Checksum, Epoch, Extent, LeaseId};
use rustix::{
    cmsg_space,
    io::retry_on_intr,
    net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg},
};

use crate::daemon::{Daemon, WAIT_MAX};

/// Answer of an acquire for one key.
pub(crate) type Record = Result<(LeaseGrant, Vec<Extent>), LeaseStatus>;

/// Answer of a reserve for one object: its name and where its bytes go.
pub(crate) type Reserved = Result<(u64, Vec<Extent>), ReserveStatus>;

/// A connection that was not opened yet.
pub(crate) struct Raw {
    pub(crate) stream: UnixStream,
    /// Received and not yet looked at.
    ahead: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

/// An open connection.
pub(crate) struct Client {
    pub(crate) raw: Raw,
    pub(crate) welcome: Welcome,
    pub(crate) arena: File,
    pub(crate) generations: File,
    request: u64,
}

/// One frame of the daemon.
#[derive(Debug)]
pub(crate) struct Received(Vec<u8>);

impl Received {
    fn frame(&self) -> Frame<'_> {
        Frame::split(&self.0, ANSWER_LEN_MAX).unwrap().unwrap().0
    }

    pub(crate) fn request(&self) -> u64 {
        self.frame().request
    }

    pub(crate) fn answer(&self) -> Answer<'_> {
        Answer::decode(&self.frame()).unwrap()
    }

    pub(crate) fn leases(&self) -> (Duration, Vec<Record>) {
        let Answer::Leases(leases) = self.answer() else { panic!("{:?}", self.answer()) };
        let records = leases.clone().map(|record| match record {
            LeaseRecord::Granted(grant, extents) => Ok((grant, extents.iter().collect())),
            LeaseRecord::Refused(status) => Err(status),
        });
        (leases.ttl, records.collect())
    }

    pub(crate) fn statuses(&self) -> Vec<DoneStatus> {
        match self.answer() {
            Answer::Done(statuses) | Answer::Renewed { statuses, .. } => statuses.collect(),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn reservations(&self) -> Vec<Reserved> {
        let Answer::Reservations(records) = self.answer() else { panic!("{:?}", self.answer()) };
        let reserved = records.map(|record| match record {
            ReservationRecord::Granted { write, extents } => Ok((write, extents.iter().collect())),
            ReservationRecord::Refused(status) => Err(status),
        });
        reserved.collect()
    }

    pub(crate) fn failure(&self) -> FailureCode {
        match self.answer() {
            Answer::Error(failure) => {
                assert!(!failure.text.is_empty() && !failure.text.contains('\n'), "{failure:?}");
                failure.code
            }
            other => panic!("{other:?}"),
        }
    }
}

impl Raw {
    pub(crate) fn connect(daemon: &Daemon) -> Self {
        Self::connect_at(&daemon.socket())
    }

    pub(crate) fn connect_at(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
        stream.set_write_timeout(Some(WAIT_MAX)).unwrap();
        Self { stream, ahead: Vec::new(), descriptors: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The next frame, whole.
    pub(crate) fn receive(&mut self) -> Received {
        self.try_receive().expect("the daemon closed the connection")
    }

    /// The next frame, unless the connection has ended.
    pub(crate) fn try_receive(&mut self) -> Option<Received> {
        loop {
            if let Some((_, len)) = Frame::split(&self.ahead, ANSWER_LEN_MAX).unwrap() {
                return Some(Received(self.ahead.drain(..len).collect()));
            }
            match self.fill() {
                Ok(0) => return None,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                filled => drop(filled.expect("the daemon neither answers nor closes")),
            }
        }
    }

    /// The descriptors that came and were not taken.
    pub(crate) fn take_descriptors(&mut self) -> Vec<OwnedFd> {
        std::mem::take(&mut self.descriptors)
    }

    /// Whether the daemon closes the connection, having sent nothing more.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.try_receive().is_none() && self.ahead.is_empty()
    }

    /// Whether the daemon has sent anything, or closed, within `wait`.
    pub(crate) fn is_silent_for(&mut self, wait: Duration) -> bool {
        self.stream.set_read_timeout(Some(wait)).unwrap();
        let silent = self.fill().is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        self.stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
        silent
    }

    /// Takes in what is there, and the descriptors that come with it.
    fn fill(&mut self) -> io::Result<usize> {
        let mut bytes = vec![0; 64 << 10];
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(4))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut into = [IoSliceMut::new(&mut bytes)];
        let flags = RecvFlags::CMSG_CLOEXEC;
        // With a time limit it also ends when this process is stopped and goes on.
        let received = retry_on_intr(|| recvmsg(&self.stream, &mut into, &mut ancillary, flags))?;
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                self.descriptors.extend(descriptors);
            }
        }
        self.ahead.extend(&bytes[..received.bytes]);
        Ok(received.bytes)
    }

    /// Sends a hello, and takes the welcome.
    pub(crate) fn open(mut self, writes: bool) -> Client {
        let mut hello = Vec::new();
        Hello { version: VERSION, writes }.write(&mut hello, 77);
        self.send(&hello);
        let received = self.receive();
        assert_eq!(received.request(), 77);
        let Answer::Welcome(welcome) = received.answer() else { panic!("{received:?}") };
        let descriptors: [OwnedFd; 2] =
            std::mem::take(&mut self.descriptors).try_into().expect("two descriptors");
        let [arena, generations] = descriptors.map(File::from);
        Client { raw: self, welcome, arena, generations, request: 100 }
    }
}

impl Client {
    pub(crate) fn reader(daemon: &Daemon) -> Self {
        Raw::connect(daemon).open(false)
    }

    pub(crate) fn writer(daemon: &Daemon) -> Self {
        Raw::connect(daemon).open(true)
    }

    /// Sends the frame that `write` makes, and returns its number.
    pub(crate) fn send(&mut self, write: impl FnOnce(&mut Vec<u8>, u64)) -> u64 {
        self.request += 1;
        let mut frame = Vec::new();
        write(&mut frame, self.request);
        self.raw.send(&frame);
        self.request
    }

    /// Sends the frame that `write` makes, and returns its answer.
    pub(crate) fn call(&mut self, write: impl FnOnce(&mut Vec<u8>, u64)) -> Received {
        let request = self.send(write);
        let received = self.raw.receive();
        assert_eq!(received.request(), request, "{received:?}");
        received
    }

    pub(crate) fn acquire(&mut self, keys: &[&str]) -> Vec<Record> {
        self.call(acquire(keys, Mode::Each, Duration::ZERO)).leases().1
    }

    pub(crate) fn acquire_prefix(&mut self, keys: &[&str]) -> Vec<Record> {
        self.call(acquire(keys, Mode::Prefix, Duration::ZERO)).leases().1
    }

    /// Leases one object that is there.
    pub(crate) fn lease(&mut self, key: &str) -> (LeaseGrant, Vec<Extent>) {
        self.acquire(&[key]).remove(0).unwrap()
    }

    pub(crate) fn release(&mut self, sequences: &[u64]) -> Vec<DoneStatus> {
        self.call(|out, request| ids(IdsWriter::release(out, request, false), sequences)).statuses()
    }

    pub(crate) fn renew(&mut self, sequences: &[u64]) -> Vec<DoneStatus> {
        self.call(|out, request| ids(IdsWriter::renew(out, request, None), sequences)).statuses()
    }

    pub(crate) fn exists(&mut self, listed: &[&str], mode: Mode) -> Vec<DoneStatus> {
        let write = |out: &mut Vec<u8>, request| {
            keys(KeysWriter::exists(out, request, &bucket(), mode), listed);
        };
        self.call(write).statuses()
    }

    pub(crate) fn remove(&mut self, listed: &[&str]) -> Vec<DoneStatus> {
        let write = |out: &mut Vec<u8>, request| {
            keys(KeysWriter::remove(out, request, &bucket()), listed);
        };
        self.call(write).statuses()
    }

    pub(crate) fn reserve(&mut self, requested: &[(&str, u64)]) -> Vec<Reserved> {
        self.call(reserve(requested)).reservations()
    }

    /// Reserves space for one object, which there is.
    pub(crate) fn reserve_one(&mut self, key: &str, len: u64) -> (u64, Vec<Extent>) {
        self.reserve(&[(key, len)]).remove(0).unwrap()
    }

    pub(crate) fn commit(&mut self, commits: &[(u64, Checksum)]) -> Vec<DoneStatus> {
        let write = |out: &mut Vec<u8>, request| {
            let mut frame = CommitWriter::begin(out, request);
            for (write, checksum) in commits {
                frame.push(Commit { write: *write, checksum: *checksum }).unwrap();
            }
            frame.finish();
        };
        self.call(write).statuses()
    }

    pub(crate) fn abort(&mut self, names: &[u64]) -> Vec<DoneStatus> {
        self.call(|out, request| ids(IdsWriter::abort(out, request, false), names)).statuses()
    }

    /// Writes into extents, as a client does into its mapping.
    pub(crate) fn fill(&self, extents: &[Extent], mut bytes: &[u8]) {
        for extent in extents {
            let (now, later) = bytes.split_at(extent.len.bytes() as usize);
            self.arena.write_all_at(now, extent.offset.bytes()).unwrap();
            bytes = later;
        }
        assert!(bytes.is_empty());
    }

    /// Reads extents, as a client does from its mapping.
    pub(crate) fn read(&self, extents: &[Extent]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for extent in extents {
            let mut piece = vec![0; extent.len.bytes() as usize];
            self.arena.read_exact_at(&mut piece, extent.offset.bytes()).unwrap();
            bytes.extend(piece);
        }
        bytes
    }

    /// Generation in this slot.
    pub(crate) fn generation(&self, slot: u32) -> u64 {
        let mut bytes = [0; 8];
        self.generations.read_exact_at(&mut bytes, u64::from(slot) * 8).unwrap();
        u64::from_ne_bytes(bytes)
    }

    /// The name that a lease has over HTTP.
    pub(crate) fn id(&self, grant: &LeaseGrant) -> String {
        let epoch: Epoch = self.welcome.epoch;
        LeaseId { epoch, sequence: grant.sequence }.to_string()
    }

    /// Says that nothing more will be sent, and returns what the daemon still sends.
    pub(crate) fn finish(mut self) -> Vec<Received> {
        self.raw.stream.shutdown(Shutdown::Write).unwrap();
        std::iter::from_fn(|| self.raw.try_receive()).collect()
    }

    /// Receives and discards everything that the daemon sends until it closes. Returns the length.
    pub(crate) fn drain(&mut self) -> usize {
        let mut bytes = Vec::new();
        // Reset is an end as well.
        let _ = self.raw.stream.read_to_end(&mut bytes);
        bytes.len()
    }
}

/// Checks reservations behind their deadline: with a long grace, within which they are kept, and with a short one, at
/// the end of which the daemon has no writes. `reserve` makes them; `check` is told whether they ended.
pub(crate) fn behind_the_deadline<R>(
    reserve: impl Fn(&mut Client) -> R,
    check: impl Fn(&Daemon, &mut Client, R, bool),
) {
    let ttl = Duration::from_millis(100);
    for (grace, ended) in [(WAIT_MAX, false), (ttl, true)] {
        let daemon = Daemon::with(|config| {
            config.reservation_ttl = ttl;
            config.lease_grace = grace;
        });
        let mut client = Client::writer(&daemon);
        let reserved = reserve(&mut client);
        sleep(ttl);
        if ended {
            daemon.until("the end", |stats| stats.writes == 0);
        }
        check(&daemon, &mut client, reserved, ended);
    }
}

pub(crate) fn bucket() -> BucketName {
    BucketName::new("b").unwrap()
}

pub(crate) fn acquire<'k>(
    listed: &'k [&'k str],
    mode: Mode,
    wait: Duration,
) -> impl FnOnce(&mut Vec<u8>, u64) + use<'k> {
    acquire_for(listed, mode, wait, None)
}

pub(crate) fn acquire_for<'k>(
    listed: &'k [&'k str],
    mode: Mode,
    wait: Duration,
    ttl: Option<Duration>,
) -> impl FnOnce(&mut Vec<u8>, u64) + use<'k> {
    move |out, request| {
        keys(KeysWriter::acquire(out, request, &bucket(), mode, wait, ttl), listed);
    }
}

pub(crate) fn reserve<'k>(
    requested: &'k [(&'k str, u64)],
) -> impl FnOnce(&mut Vec<u8>, u64) + use<'k> {
    move |out, request| {
        let mut frame = ReserveWriter::begin(out, request, &bucket());
        for (key, len) in requested {
            frame.push(RequestedObject { len: ByteSize::new(*len), key }).unwrap();
        }
        frame.finish();
    }
}

pub(crate) fn keys(mut frame: KeysWriter<'_>, keys: &[&str]) {
    keys.iter().for_each(|key| frame.push(key).unwrap());
    frame.finish();
}

pub(crate) fn ids(mut frame: IdsWriter<'_>, ids: &[u64]) {
    ids.iter().for_each(|id| frame.push(*id).unwrap());
    frame.finish();
}

/// The checksum of these bytes.
pub(crate) fn checksum(bytes: &[u8]) -> Checksum {
    let mut digest = Digest::new();
    digest.update(bytes);
    digest.finish()
}
