//! Answers on their way to a client.

use std::{io, time::Duration};

use tokio::{net::UnixStream, time::timeout};

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
