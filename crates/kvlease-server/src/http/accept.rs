//! Accepting connections, and serving each until it ends or the daemon does.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use http::Request;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use kvlease_types::Caller;
use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::net::{TcpListener, TcpStream};

use super::{
    admission::{Admission, Place},
    connection::Socket,
    framing,
    host_names::HostNames,
    reader_rate::Paced,
    reply::Refusal,
    routes,
    watched::Watched,
};
use crate::{accept_refusals::AcceptRefusals, context::Context};

/// The largest head of a request: a key of the greatest length, fully escaped, fits twice.
const HEAD_LEN_MAX: usize = 16 << 10;

/// How long a client may take no byte of a reply, which occupies memory meanwhile.
const READER_STALL_MAX: Duration = Duration::from_secs(30);

/// How long a connection on a reserved place may take for a head.
const RESERVED_HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves `listener` until `stop` resolves, then ends every connection after its current
/// request, waiting at most `grace` for that.
pub(crate) async fn accept(
    listener: TcpListener,
    context: Arc<Context>,
    stop: impl Future<Output = ()>,
    grace: Duration,
) {
    let admission = Admission::new(context.places.http, &context.metrics);
    let mut refusals = AcceptRefusals::new(&context.metrics);
    let address = listener.local_addr().unwrap_or(context.config.address);
    let names = Arc::new(HostNames::new(address, &context.config.host_names));
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let next = tokio::select! {
            biased;
            () = &mut stop => break,
            next = next_connection(&listener, &admission, &context) => next,
        };
        match next {
            Ok((stream, peer, place)) => serve(stream, peer, place, (&context, &names), &graceful),
            Err(error) => refusals.refused("a connection", &error).await,
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
    admission: &Arc<Admission>,
    context: &Context,
) -> io::Result<(TcpStream, SocketAddr, Place)> {
    let (stream, peer) = listener.accept().await?;
    // Replies are small; waiting to fill a segment would delay each of them.
    stream.set_nodelay(true)?;
    // A client that takes nothing for longer than any lease lives gets no more bytes anyway. The
    // system refuses more than a signed number of milliseconds.
    let stall_max = READER_STALL_MAX.min(context.config.lease_ttl_max).as_millis();
    set_tcp_user_timeout(&stream, stall_max.min(i32::MAX as u128) as u32)?;
    Ok((stream, peer, admission.take().await))
}

/// Refuses a request for its head.
///
/// A call on purpose: the closure around it stays so short that it is inlined into hyper.
#[inline(never)]
fn check<B>(names: &HostNames, request: &Request<B>) -> Result<(), Refusal> {
    framing::check(request)?;
    names.check(request)
}

fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    place: Place,
    (context, names): (&Arc<Context>, &Arc<HostNames>),
    graceful: &GracefulShutdown,
) {
    let socket = Socket::new(stream);
    let open = context.metrics.connection();
    let caller = Caller::http(peer);
    let header_timeout = if place.is_reserved() {
        context.config.header_timeout.min(RESERVED_HEADER_TIMEOUT)
    } else {
        context.config.header_timeout
    };
    let place = Arc::new(place);
    let (context, seen, held) = (Arc::clone(context), socket.clone(), Arc::clone(&place));
    let names = Arc::clone(names);
    let service = service_fn(move |mut request| {
        let (context, socket, mut busy) = (Arc::clone(&context), seen.clone(), held.begin());
        let sound = check(&names, &request);
        async move {
            let response = match sound {
                Ok(()) => routes::answer(&context, &caller, &mut request, &socket, &mut busy).await,
                Err(refusal) => routes::refused(&context, &caller, refusal),
            };
            Ok::<_, std::convert::Infallible>(response.map(|body| Watched::new(body, busy)))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_header_size(HEAD_LEN_MAX)
        .serve_connection(TokioIo::new(Paced::new(socket)), service);
    let watched = graceful.watch(connection);
    let task = tokio::spawn(async move {
        let _open = open;
        if let Err(error) = watched.await {
            tracing::debug!(%caller, "a connection ended: {error}");
        }
    });
    place.served_by(task.abort_handle(), caller);
}
