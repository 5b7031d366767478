//! One connection to the daemon.

use std::{
    io,
    time::{Duration, Instant},
};

use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

use crate::{Address, PutBody};

/// How long a connection that was used may take to become ready again. It is ready at once,
/// except while the rest of a body is sent that the daemon answered early.
const READY_MAX: Duration = Duration::from_millis(100);

/// How long a connection may have been idle and still be used. Daemons close idle connections
/// after a longer time, and a request must not run into that.
const IDLE_MAX: Duration = Duration::from_secs(15);

/// A connection that is either in use by one call or idle.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: SendRequest<PutBody>,
    used: Instant,
}

/// Why a request has no response.
pub(crate) enum SendError {
    /// It was not sent: another connection may take it.
    Unsent(Box<Request<PutBody>>),
    /// It was sent, at least in part.
    Broken(hyper::Error),
}

impl Connection {
    /// Connects. The connection is driven by a task that ends when this handle is dropped.
    pub(crate) async fn open(address: &Address, connect_max: Duration) -> io::Result<Self> {
        let connect = TcpStream::connect((address.host(), address.port()));
        let stream = timeout(connect_max, connect).await.map_err(|_| {
            io::Error::new(io::ErrorKind::TimedOut, format!("no connection within {connect_max:?}"))
        })??;
        // Requests are small and answered at once: nothing is won by waiting for more bytes.
        stream.set_nodelay(true)?;
        let (sender, driver) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        tokio::spawn(async move {
            // What breaks a connection also fails the call that uses it, which reports it.
            let _ = driver.await;
        });
        Ok(Self { sender, used: Instant::now() })
    }

    /// Whether it can be tried for another request.
    pub(crate) fn is_usable(&self) -> bool {
        !self.sender.is_closed() && self.used.elapsed() < IDLE_MAX
    }

    /// Sends a request and waits for the head of its response.
    pub(crate) async fn send(
        &mut self,
        request: Request<PutBody>,
    ) -> Result<Response<Incoming>, SendError> {
        if !matches!(timeout(READY_MAX, self.sender.ready()).await, Ok(Ok(()))) {
            return Err(SendError::Unsent(Box::new(request)));
        }
        let sent = self.sender.try_send_request(request).await;
        self.used = Instant::now();
        sent.map_err(|mut error| match error.take_message() {
            Some(request) => SendError::Unsent(Box::new(request)),
            None => SendError::Broken(error.into_error()),
        })
    }
}
