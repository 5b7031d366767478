//! The socket while the daemon listens on it: made again when another process removed its file.

use std::time::Duration;

use tokio::net::UnixListener;

use super::socket::{Found, Socket};
use crate::context::Context;

/// Time between two looks at the path.
pub(super) const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Socket and listener. The socket is dropped first: see [`Socket`].
pub(super) struct Listening {
    socket: Socket,
    pub(super) listener: UnixListener,
    /// Whether the socket could not be reached at the last look, which is logged once.
    lost: bool,
}

impl Listening {
    pub(super) fn new((socket, listener): (Socket, UnixListener)) -> Self {
        Self { socket, listener, lost: false }
    }

    /// Looks at the path. A socket that is gone is made again; one that cannot be reached is not
    /// advertised.
    pub(super) fn keep(&mut self, context: &Context) {
        let found = self.socket.find();
        let fault = match found {
            Found::Socket => None,
            Found::Nothing => self.listen_again(context).err(),
            Found::Other => Some("another file has its path".to_owned()),
        };
        context.announcement.set_socket_is_there(fault.is_none());
        match fault {
            Some(fault) if !self.lost => {
                let path = self.socket.path().display();
                tracing::error!(
                    "clients cannot reach the socket of the fast lane `{path}`: {fault}"
                );
                self.lost = true;
            }
            Some(_) => {}
            None if self.lost => {
                tracing::info!("clients can reach the socket of the fast lane again");
                self.lost = false;
            }
            None => {}
        }
    }

    fn listen_again(&mut self, context: &Context) -> Result<(), String> {
        let made = Socket::listen(self.socket.path(), &context.config);
        let (socket, listener) = made.map_err(|error| error.to_string())?;
        // The old listener keeps the number of its inode from being used again until here.
        self.socket = socket;
        self.listener = listener;
        tracing::warn!("the socket of the fast lane was gone: made it again");
        Ok(())
    }
}
