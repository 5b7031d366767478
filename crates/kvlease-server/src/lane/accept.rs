//! Accepting connections, and serving each until it ends or the daemon does.

use std::{io, sync::Arc, time::Duration};

use kvlease_api::lane::{Failure, FailureCode, write_failure};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::{OwnedSemaphorePermit, watch},
    task::JoinSet,
    time::timeout,
};

use super::{Lane, Socket, connection, peer};
use crate::places::Places;

/// Serves `listener` until the sender of `stop` is dropped, then ends every connection, waiting
/// at most `grace` for that.
pub(crate) async fn accept(
    (socket, listener): (Socket, UnixListener),
    lane: Arc<Lane>,
    mut stop: watch::Receiver<()>,
    grace: Duration,
) {
    let places = Places::new(lane.config.connections_max, &lane.metrics);
    let mut connections = JoinSet::new();
    loop {
        let next = tokio::select! {
            biased;
            _ = stop.changed() => break,
            next = next_connection(&listener, &places) => next,
        };
        // Those that have ended are forgotten.
        while connections.try_join_next().is_some() {}
        match next {
            Ok((stream, permit)) => serve(stream, permit, &lane, &stop, &mut connections),
            Err(error) => places.refused("a connection of the fast lane", &error).await,
        }
    }
    drop(socket);
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    if timeout(grace, all).await.is_err() {
        tracing::warn!("some connections of the fast lane did not end in time: closing them");
    }
}

/// The next connection, once there is a place for it.
async fn next_connection(
    listener: &UnixListener,
    places: &Places,
) -> io::Result<(UnixStream, OwnedSemaphorePermit)> {
    let permit = places.take().await;
    let (stream, _) = listener.accept().await?;
    Ok((stream, permit))
}

fn serve(
    stream: UnixStream,
    permit: OwnedSemaphorePermit,
    lane: &Arc<Lane>,
    stop: &watch::Receiver<()>,
    connections: &mut JoinSet<()>,
) {
    // A client that is gone already has no credentials, and needs no answer.
    let Ok(credentials) = stream.peer_cred() else { return };
    if !peer::may_use(&lane.config, credentials.uid()) {
        lane.metrics.lane.peer_refused();
        tracing::warn!(uid = credentials.uid(), "refused a client of the fast lane");
        return refuse(&stream, credentials.uid());
    }
    let open = lane.metrics.lane.connection();
    let lane = Arc::clone(lane);
    let stop = stop.clone();
    connections.spawn(async move {
        let _held = (permit, open);
        connection::serve(lane, stream, stop).await;
    });
}

/// Says why, as far as the fresh socket's buffer takes it.
fn refuse(stream: &UnixStream, uid: u32) {
    let text = format!(
        "this user may not use the socket: run the client as the daemon's user, or see \
         server.socket_mode, uid=`{uid}`"
    );
    let mut frame = Vec::new();
    write_failure(&mut frame, 0, &Failure { code: FailureCode::NotAllowed, text: &text });
    // The client may be gone.
    let _ = stream.try_write(&frame);
}
