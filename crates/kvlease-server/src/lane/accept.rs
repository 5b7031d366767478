//! Accepting connections, and serving each until it ends or the daemon does.

use std::{io, sync::Arc, time::Duration};

use kvlease_api::lane::{Failure, FailureCode, write_failure};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{Lane, Socket, connection, peer};

/// How long nothing is accepted after the system refused to give a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves `listener` until the sender of `stop` is dropped, then ends every connection, waiting
/// at most `grace` for that.
pub(crate) async fn accept(
    (socket, listener): (Socket, UnixListener),
    lane: Arc<Lane>,
    mut stop: watch::Receiver<()>,
    grace: Duration,
) {
    let permits = Arc::new(Semaphore::new(lane.config.connections_max));
    let mut connections = JoinSet::new();
    loop {
        let next = tokio::select! {
            biased;
            _ = stop.changed() => break,
            next = next_connection(&listener, &permits, &lane) => next,
        };
        // Those that have ended are forgotten.
        while connections.try_join_next().is_some() {}
        match next {
            Ok((stream, permit)) => serve(stream, permit, &lane, &stop, &mut connections),
            Err(error) => {
                lane.metrics.accept_failed();
                tracing::warn!("cannot accept a connection of the fast lane: {error}");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(socket);
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    if timeout(grace, all).await.is_err() {
        tracing::warn!("some connections of the fast lane did not end in time: closing them");
    }
}

/// The next connection, once there is room for it: until then the kernel keeps it waiting.
async fn next_connection(
    listener: &UnixListener,
    permits: &Arc<Semaphore>,
    lane: &Lane,
) -> io::Result<(UnixStream, OwnedSemaphorePermit)> {
    let permit = match Arc::clone(permits).try_acquire_owned() {
        Ok(permit) => permit,
        Err(_) => {
            lane.metrics.connections_full();
            let permit = Arc::clone(permits).acquire_owned().await;
            permit.expect("the semaphore is never closed")
        }
    };
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
