//! The first frames of a connection, and the descriptors that come with them.

use std::{
    io::{self, IoSliceMut},
    mem::MaybeUninit,
    os::fd::OwnedFd,
    path::Path,
};

use kvlease_api::lane::{ANSWER_LEN_MAX, Answer, Frame, Hello, VERSION, Welcome};
use kvlease_attach::TrustedUsers;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use tokio::{
    io::{AsyncWriteExt, Interest},
    net::UnixStream,
};

use super::error::Fault;

/// Room for the answer to a hello.
const READ_LEN: usize = 4 << 10;

/// How many descriptors come with a welcome, those of the arena and of the generations, and with the
/// answer to an index.
const DESCRIPTORS: usize = 2;

/// Connection whose daemon has sent its welcome.
pub(super) struct Greeted {
    pub(super) stream: UnixStream,
    pub(super) welcome: Welcome,
    pub(super) arena: OwnedFd,
    pub(super) generations: OwnedFd,
}

/// Connects to a socket of a trusted user and exchanges the first frames.
pub(super) async fn greet(
    path: &Path,
    writes: bool,
    trusted: TrustedUsers,
) -> Result<Greeted, Fault> {
    let mut stream = UnixStream::connect(path).await?;
    // The user of the process that listens, as the kernel saw it then. It is asked before a byte is
    // sent: any process may have taken the name of a daemon that is gone.
    let uid = stream.peer_cred()?.uid();
    if !trusted.include(uid) {
        return Err(Fault::Foreign { uid });
    }
    let mut hello = Vec::new();
    Hello { version: VERSION, writes }.write(&mut hello, 0);
    let sent = stream.write_all(&hello).await;
    // A daemon that takes no hello of this user has answered and closed before it came.
    let received = match (Received::first(&stream).await, sent) {
        (Err(_), Err(unsent)) => return Err(unsent.into()),
        (received, _) => received?,
    };
    let (frame, len) = received.frame()?;
    let welcome = match Answer::decode(&frame)? {
        Answer::Welcome(welcome) if len == received.bytes.len() => welcome,
        Answer::Error(failure) => {
            return Err(Fault::Refused { text: failure.text.to_owned(), closes: true });
        }
        _ => return Err(Fault::Protocol("the first answer is no welcome".to_owned())),
    };
    let [arena, generations] = received.descriptors()?;
    Ok(Greeted { stream, welcome, arena, generations })
}

/// An answer with its descriptors.
#[derive(Debug, Default)]
pub(super) struct Received {
    bytes: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

impl Received {
    /// Receives until the first frame is whole.
    pub(super) async fn first(stream: &UnixStream) -> Result<Self, Fault> {
        let mut received = Self::default();
        while Frame::split(&received.bytes, ANSWER_LEN_MAX)?.is_none() {
            let read = || receive(stream, &mut received.bytes, &mut received.descriptors);
            if stream.async_io(Interest::READABLE, read).await? == 0 {
                return Err(Fault::closed());
            }
        }
        Ok(received)
    }

    /// The frame, and how many bytes it takes.
    pub(super) fn frame(&self) -> Result<(Frame<'_>, usize), Fault> {
        let first = Frame::split(&self.bytes, ANSWER_LEN_MAX)?;
        Ok(first.expect("the first frame is whole"))
    }

    /// The descriptors that came with it: as many as an answer has.
    pub(super) fn descriptors(self) -> Result<[OwnedFd; DESCRIPTORS], Fault> {
        let descriptors = <[OwnedFd; DESCRIPTORS]>::try_from(self.descriptors);
        descriptors.map_err(|came| {
            Fault::Protocol(format!("an answer came with `{}` descriptors", came.len()))
        })
    }
}

/// Reads bytes and takes the descriptors that came with them. They are closed when a program is
/// executed.
fn receive(
    stream: &UnixStream,
    arrived: &mut Vec<u8>,
    descriptors: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    let mut bytes = [0; READ_LEN];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let slices = &mut [IoSliceMut::new(&mut bytes)];
    let received = recvmsg(stream, slices, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    arrived.extend_from_slice(&bytes[..received.bytes]);
    Ok(received.bytes)
}
