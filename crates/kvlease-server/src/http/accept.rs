//! Accepting connections, and serving each until it ends or the daemon does.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use kvlease_types::Caller;
use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::OwnedSemaphorePermit,
};

use super::{connection::Socket, routes};
use crate::{connection_limit::ConnectionLimit, context::Context};

/// The largest head of a request: a key of the greatest length, fully escaped, fits twice.
const HEAD_LEN_MAX: usize = 16 << 10;

/// Serves `listener` until `stop` resolves, then ends every connection after its current
/// request, waiting at most `grace` for that.
pub(crate) async fn accept(
    listener: TcpListener,
    context: Arc<Context>,
    stop: impl Future<Output = ()>,
    grace: Duration,
) {
    let limit = ConnectionLimit::new(context.config.connections_max, &context.metrics);
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let next = tokio::select! {
            biased;
            () = &mut stop => break,
            next = next_connection(&listener, &limit, &context) => next,
        };
        match next {
            Ok((stream, peer, permit)) => serve(stream, peer, permit, &context, &graceful),
            Err(error) => limit.refused("a connection", &error).await,
        }
    }
    drop(listener);
    if tokio::time::timeout(grace, graceful.shutdown()).await.is_err() {
        tracing::warn!("some connections did not end in time: closing them");
    }
}

/// The next connection, once there is a permit for it.
async fn next_connection(
    listener: &TcpListener,
    limit: &ConnectionLimit,
    context: &Context,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = limit.permit().await;
    let (stream, peer) = listener.accept().await?;
    // Replies are small; waiting to fill a segment would delay each of them.
    stream.set_nodelay(true)?;
    // A client that takes nothing for longer than any lease lives gets no more bytes anyway.
    let stall_max = u32::try_from(context.config.lease_ttl_max.as_millis()).unwrap_or(u32::MAX);
    set_tcp_user_timeout(&stream, stall_max)?;
    Ok((stream, peer, permit))
}

fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    permit: OwnedSemaphorePermit,
    context: &Arc<Context>,
    graceful: &GracefulShutdown,
) {
    let socket = Socket::new(stream);
    let open = context.metrics.connection();
    let caller = Caller::http(peer);
    let header_timeout = context.config.header_timeout;
    let (context, seen) = (Arc::clone(context), socket.clone());
    let service = service_fn(move |request| {
        let (context, socket) = (Arc::clone(&context), seen.clone());
        async move {
            let response = routes::answer(&context, &caller, request, &socket).await;
            Ok::<_, std::convert::Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_header_size(HEAD_LEN_MAX)
        .serve_connection(TokioIo::new(socket), service);
    let watched = graceful.watch(connection);
    tokio::spawn(async move {
        let _held = (permit, open);
        if let Err(error) = watched.await {
            tracing::debug!(%caller, "a connection ended: {error}");
        }
    });
}
