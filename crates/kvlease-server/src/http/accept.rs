//! Accepting connections, and serving each until it ends or the daemon does.

use std::{io, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::OwnedSemaphorePermit,
};

use super::{Routes, connection::Socket};
use crate::places::Places;

/// The largest head of a request: a key of the greatest length, fully escaped, fits twice.
const HEAD_LEN_MAX: usize = 16 << 10;

/// Serves `listener` until `stop` resolves, then ends every connection after its current
/// request, waiting at most `grace` for that.
pub(crate) async fn accept(
    listener: TcpListener,
    routes: Arc<Routes>,
    stop: impl Future<Output = ()>,
    grace: Duration,
) {
    let places = Places::new(routes.config.connections_max, &routes.metrics);
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let next = tokio::select! {
            biased;
            () = &mut stop => break,
            next = next_connection(&listener, &places, &routes) => next,
        };
        match next {
            Ok((stream, permit)) => serve(stream, permit, &routes, &graceful),
            Err(error) => places.refused("a connection", &error).await,
        }
    }
    drop(listener);
    if tokio::time::timeout(grace, graceful.shutdown()).await.is_err() {
        tracing::warn!("some connections did not end in time: closing them");
    }
}

/// The next connection, once there is a place for it.
async fn next_connection(
    listener: &TcpListener,
    places: &Places,
    routes: &Routes,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let permit = places.take().await;
    let (stream, _) = listener.accept().await?;
    // Replies are small; waiting to fill a segment would delay each of them.
    stream.set_nodelay(true)?;
    // A client that takes nothing for longer than any lease lives gets no more bytes anyway.
    let patience = u32::try_from(routes.config.lease_ttl_max.as_millis()).unwrap_or(u32::MAX);
    set_tcp_user_timeout(&stream, patience)?;
    Ok((stream, permit))
}

fn serve(
    stream: TcpStream,
    permit: OwnedSemaphorePermit,
    routes: &Arc<Routes>,
    graceful: &GracefulShutdown,
) {
    let socket = Socket::new(stream);
    let open = routes.metrics.connection();
    let routes = Arc::clone(routes);
    let header_timeout = routes.config.header_timeout;
    let seen = socket.clone();
    let service = service_fn(move |request| {
        let routes = Arc::clone(&routes);
        let socket = seen.clone();
        async move { Ok::<_, std::convert::Infallible>(routes.answer(request, &socket).await) }
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
            tracing::debug!("a connection ended: {error}");
        }
    });
}
