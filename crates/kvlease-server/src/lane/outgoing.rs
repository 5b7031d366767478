//! Answers on their way to a client.

use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    os::fd::BorrowedFd,
    time::Duration,
};

use rustix::{
    cmsg_space,
    net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg},
};
use tokio::{io::Interest, net::UnixStream, time::timeout};

/// Writes all of it, and passes two descriptors with its first byte. A client that takes nothing for
/// as long as `stall` fails it.
pub(super) async fn write_with(
    stream: &UnixStream,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>; 2],
    stall: Duration,
) -> io::Result<()> {
    let send = || {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(2))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let taken = ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
        assert!(taken, "the space is made for two descriptors");
        let sent = sendmsg(stream, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL)?;
        Ok(sent)
    };
    let sent = timeout(stall, stream.async_io(Interest::WRITABLE, send)).await;
    let sent = sent.map_err(|_| io::ErrorKind::TimedOut)??;
    write(stream, &bytes[sent..], stall).await
}

/// Writes all of it. A client that takes nothing for as long as `stall` fails it.
pub(super) async fn write(
    stream: &UnixStream,
    mut bytes: &[u8],
    stall: Duration,
) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.try_write(bytes) {
            Ok(taken) => bytes = &bytes[taken..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                timeout(stall, stream.writable()).await.map_err(|_| io::ErrorKind::TimedOut)??;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
