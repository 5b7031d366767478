//! Accepting connections, and serving each until it ends or the daemon does.

use std::{io, sync::Arc, time::Duration};

use kvlease_api::lane::{Failure, FailureCode, write_failure};
use kvlease_types::Caller;
use tokio::{
    net::{UnixListener, UnixStream},
    sync::{OwnedSemaphorePermit, watch},
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};

use super::{
    Socket, connection, gate,
    listening::{CHECK_INTERVAL, Listening},
    peer,
};
use crate::{
    accept_refusals::AcceptRefusals,
    connection_limit::ConnectionLimit,
    context::Context,
    quotas::ConnectionPlace,
    scheduling::{ConnectionTenant, ScheduledTask},
};

/// Serves `listener` until the sender of `stop` is dropped, then ends every connection, waiting
/// at most `grace` for that.
pub(crate) async fn accept(
    listening: (Socket, UnixListener),
    context: Arc<Context>,
    mut stop: watch::Receiver<()>,
    grace: Duration,
) {
    let limit = ConnectionLimit::new(context.places.lane, &context.metrics);
    let mut refusals = AcceptRefusals::new(&context.metrics);
    let mut connections = JoinSet::new();
    let mut accepted = 0_u32;
    let mut listening = Listening::new(listening);
    let mut check = interval(CHECK_INTERVAL);
    check.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let next = tokio::select! {
            biased;
            _ = stop.changed() => break,
            _ = check.tick() => {
                listening.keep(&context);
                continue;
            }
            next = next_connection(&listening.listener, &limit) => next,
        };
        // Tasks of connections that have ended are forgotten.
        while connections.try_join_next().is_some() {}
        match next {
            Ok((stream, permit)) => {
                accepted = accepted.wrapping_add(1);
                if let Some((caller, place)) = identify(&stream, accepted, &context) {
                    let held = (permit, place);
                    serve(stream, held, caller, &context, &stop, &mut connections);
                }
            }
            Err(error) => refusals.refused("a connection of the fast lane", &error).await,
        }
    }
    drop(listening);
    let all = async { while connections.join_next().await.is_some() {} };
    if timeout(grace, all).await.is_err() {
        tracing::warn!("some connections of the fast lane did not end in time: closing them");
    }
}

/// The next connection, once there is a permit for it.
async fn next_connection(
    listener: &UnixListener,
    limit: &ConnectionLimit,
) -> io::Result<(UnixStream, OwnedSemaphorePermit)> {
    let permit = limit.permit().await;
    let (stream, _) = listener.accept().await?;
    Ok((stream, permit))
}

/// The client of a fresh connection, with its credentials, and its place among its tenant's; `None` if it may not
/// use the lane.
fn identify(
    stream: &UnixStream,
    connection: u32,
    context: &Context,
) -> Option<(Caller, Option<ConnectionPlace>)> {
    // A client that is gone already has no credentials, and needs no answer.
    let credentials = stream.peer_cred().ok()?;
    let (uid, gid) = (credentials.uid(), credentials.gid());
    let caller = Caller::lane(connection, uid, gid, credentials.pid());
    let remedy = match peer::may_use(&context.config, uid) {
        true => match gate::identify(context, caller, (uid, gid)) {
            Some(caller) => match gate::connect(context, &caller) {
                Ok(place) => return Some((caller, place)),
                Err(over) => over.to_string(),
            },
            None => "no tenant has this user: use HTTP with a token, or add it to uids of a tenant"
                .to_owned(),
        },
        false => "this user may not use the socket: run the client as the daemon's user, or see \
                  server.socket_mode"
            .to_owned(),
    };
    context.metrics.lane.peer_refused();
    tracing::warn!(%caller, "refused a client of the fast lane");
    refuse(stream, &remedy, uid);
    None
}

fn serve(
    stream: UnixStream,
    held: (OwnedSemaphorePermit, Option<ConnectionPlace>),
    caller: Caller,
    context: &Arc<Context>,
    stop: &watch::Receiver<()>,
    connections: &mut JoinSet<()>,
) {
    let open = context.metrics.lane.connection();
    let context = Arc::clone(context);
    let stop = stop.clone();
    let scheduling = context.scheduler.clone().zip(caller.tenant);
    let serving = async move {
        let _held = (held, open);
        connection::serve(context, caller, stream, stop).await;
    };
    match scheduling {
        None => connections.spawn(serving),
        Some((scheduler, tenant)) => {
            connections.spawn(ScheduledTask::new(serving, scheduler, ConnectionTenant::of(tenant)))
        }
    };
}

/// Says why, as far as the fresh socket's buffer takes it.
fn refuse(stream: &UnixStream, remedy: &str, uid: u32) {
    let text = format!("{remedy}, uid=`{uid}`");
    let mut frame = Vec::new();
    write_failure(&mut frame, 0, &Failure { code: FailureCode::NotAllowed, text: &text });
    // The client may be gone.
    let _ = stream.try_write(&frame);
}
