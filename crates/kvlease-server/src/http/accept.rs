//! Accepting connections, and serving each until it ends or the daemon does.

use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use http::Request;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulConnection, GracefulShutdown},
};
use kvlease_types::Caller;
use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::watch,
    task::AbortHandle,
    time::timeout,
};

use super::{
    admission::{Admission, Place},
    connection::{ENCRYPTED_PIECE_MAX, Socket},
    encrypted::Encrypted,
    framing,
    host_names::HostNames,
    listener::{Arrival, Listener},
    reader_rate::Paced,
    reply::Refusal,
    routes,
    watched::Watched,
};
use crate::{
    accept_refusals::AcceptRefusals,
    context::Context,
    request_scope::{self, Scope, Tag},
    scheduling::{ConnectionTenant, ScheduledTask, TenantScheduler},
    sizing::TLS_PLACES,
    tls::{Certificates, refuse_plain},
};

/// The largest head of a request: a key of the greatest length, fully escaped, fits twice.
const HEAD_LEN_MAX: usize = 16 << 10;

/// How long a client may take no byte of a reply, which occupies memory meanwhile.
const READER_STALL_MAX: Duration = Duration::from_secs(30);

/// How long a connection on a reserved place may take for a head.
const RESERVED_HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a client may take for its handshake. A client sends its part at once.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves `listener` until the sender of `stop` is dropped, then ends every connection after its
/// current request, waiting at most `grace` for that.
pub(crate) async fn accept(
    listener: Listener,
    (context, admission): (Arc<Context>, Arc<Admission>),
    mut stop: watch::Receiver<()>,
    grace: Duration,
) {
    let mut refusals = AcceptRefusals::new(&context.metrics);
    let names = Arc::new(HostNames::new(listener.address, &context.config.host_names));
    let graceful = GracefulShutdown::new();
    loop {
        let next = tokio::select! {
            biased;
            _ = stop.changed() => break,
            next = next_connection(&listener, &admission, &context) => next,
        };
        match next {
            Ok((stream, peer, place)) => {
                let parts = Parts::new(peer, place, (&context, &names));
                serve(stream, parts, &listener, &graceful);
            }
            Err(error) => refusals.refused("a connection", &error).await,
        }
    }
    drop(listener);
    if timeout(grace, graceful.shutdown()).await.is_err() {
        tracing::warn!("some connections did not end in time: closing them");
    }
}

/// The next connection, once there is a place for it.
async fn next_connection(
    listener: &Listener,
    admission: &Arc<Admission>,
    context: &Context,
) -> io::Result<(TcpStream, SocketAddr, Place)> {
    let (stream, peer) = listener.socket.accept().await?;
    // Replies are small; waiting to fill a segment would delay each of them.
    stream.set_nodelay(true)?;
    // A client that takes nothing for longer than any lease lives gets no more bytes anyway. The
    // system refuses more than a signed number of milliseconds.
    let stall_max = READER_STALL_MAX.min(context.config.lease_ttl_max).as_millis();
    set_tcp_user_timeout(&stream, stall_max.min(i32::MAX as u128) as u32)?;
    let places = 1 + if listener.tls.is_some() { TLS_PLACES } else { 0 };
    Ok((stream, peer, admission.take(places).await))
}

/// Refuses a request for its head.
///
/// A call on purpose: the closure around it stays so short that it is inlined into hyper.
#[inline(never)]
fn check<B>(names: &HostNames, request: &Request<B>) -> Result<(), Refusal> {
    framing::check(request)?;
    names.check(request)
}

/// Parts that a connection is served with, beside its bytes.
struct Parts {
    context: Arc<Context>,
    names: Arc<HostNames>,
    caller: Caller,
    place: Arc<Place>,
    tenant: Option<ConnectionTenant>,
    header_timeout: Duration,
}

impl Parts {
    fn new(
        peer: SocketAddr,
        place: Place,
        (context, names): (&Arc<Context>, &Arc<HostNames>),
    ) -> Self {
        let header_timeout = match place.is_reserved() {
            true => context.config.header_timeout.min(RESERVED_HEADER_TIMEOUT),
            false => context.config.header_timeout,
        };
        let (context, names) = (Arc::clone(context), Arc::clone(names));
        let (caller, place) = (Caller::http(peer), Arc::new(place));
        let tenant = context.scheduler.as_ref().map(|_| ConnectionTenant::default());
        Self { context, names, caller, place, tenant, header_timeout }
    }
}

fn serve(stream: TcpStream, parts: Parts, listener: &Listener, graceful: &GracefulShutdown) {
    let (place, caller) = (Arc::clone(&parts.place), parts.caller);
    let open = parts.context.metrics.connection();
    let scheduling = parts.context.scheduler.clone().zip(parts.tenant.clone());
    let arrival = Arrival::at(listener);
    let task = match &listener.tls {
        None => {
            let socket = Socket::plain(stream, arrival, parts.tenant.clone());
            let connection = connection(Paced::new(socket.clone()), socket, parts);
            let watched = graceful.watch(connection);
            spawn(scheduling, async move {
                let _open = open;
                ended(caller, watched.await);
            })
        }
        Some(certificates) => {
            let (certificates, watcher) = (Arc::clone(certificates), graceful.watcher());
            spawn(scheduling, async move {
                let _open = open;
                if let Some(connection) = encrypt(stream, arrival, &certificates, parts).await {
                    ended(caller, watcher.watch(connection).await);
                }
            })
        }
    };
    place.served_by(task, caller);
}

/// Serves a connection, in its tenant's turns if there are several tenants.
fn spawn(
    scheduling: Option<(Arc<TenantScheduler>, ConnectionTenant)>,
    serving: impl Future<Output = ()> + Send + 'static,
) -> AbortHandle {
    match scheduling {
        None => tokio::spawn(serving).abort_handle(),
        Some((scheduler, tenant)) => {
            tokio::spawn(ScheduledTask::new(serving, scheduler, tenant)).abort_handle()
        }
    }
}

fn ended(caller: Caller, outcome: hyper::Result<()>) {
    if let Err(error) = outcome {
        tracing::debug!(%caller, "a connection ended: {error}");
    }
}

/// Agrees with the client on encryption. `None` if that is not to be had within the time for it.
async fn encrypt(
    mut stream: TcpStream,
    arrival: Arrival,
    certificates: &Certificates,
    parts: Parts,
) -> Option<impl GracefulConnection<Error = hyper::Error> + Send + use<>> {
    let (caller, metrics) = (parts.caller, Arc::clone(&parts.context.metrics));
    let handshake = async {
        if refuse_plain(&mut stream).await? {
            return Err(io::Error::other("it is plain HTTP"));
        }
        let socket = Socket::encrypted(stream, parts.tenant.clone());
        let (stream, names) = Encrypted::accept(&certificates.acceptor(), socket.clone()).await?;
        Ok((stream, socket, names))
    };
    let limit = parts.header_timeout.min(HANDSHAKE_TIMEOUT);
    let agreed = timeout(limit, handshake).await;
    let agreed = agreed.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let (stream, socket, names) = agreed
        .inspect_err(|error| {
            metrics.tls.handshake_failures.inc();
            tracing::debug!(%caller, listener = %arrival.listener, "no handshake: {error}");
        })
        .ok()?;
    let arrival = Arrival { certificate: names, ..arrival };
    tracing::debug!(%caller, "a client arrived at {arrival}");
    socket.arrives(arrival);
    Some(connection(stream, socket, parts))
}

/// Serves HTTP on a connection in the clear, or within an encrypted one.
fn connection<I: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    io: I,
    socket: Socket,
    parts: Parts,
) -> impl GracefulConnection<Error = hyper::Error> + Send + use<I> {
    let Parts { context, names, caller, place, header_timeout, .. } = parts;
    let is_encrypted = socket.is_encrypted();
    let service = service_fn(move |mut request| {
        let (context, socket, mut busy) = (Arc::clone(&context), socket.clone(), place.begin());
        let sound = check(&names, &request);
        async move {
            let id = context.request_ids.of(request.headers());
            let span = context.traces.as_ref().and_then(|traces| traces.join(request.headers()));
            let scope = Scope::new(Tag::Http(id.clone()), span);
            let response = {
                let mut answering = pin!(async {
                    match sound {
                        Ok(()) => {
                            let parts = (&socket, &mut busy);
                            routes::answer(&context, &caller, &mut request, parts, id).await
                        }
                        Err(refusal) => routes::refused(&context, &caller, refusal, id),
                    }
                });
                request_scope::within(scope, answering.as_mut()).await
            };
            Ok::<_, std::convert::Infallible>(response.map(|body| Watched::new(body, busy)))
        }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new());
    builder.header_read_timeout(header_timeout).max_header_size(HEAD_LEN_MAX);
    if is_encrypted {
        // It bounds reads as well, of which none within TLS is longer than a record.
        builder.max_buf_size(ENCRYPTED_PIECE_MAX);
    }
    builder.serve_connection(TokioIo::new(io), service)
}
