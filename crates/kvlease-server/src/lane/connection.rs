//! One connection: from its hello to its end.

use std::{io, sync::Arc, time::Duration};

use kvlease_api::lane::FailureCode;
use kvlease_sys::boot_time;
use kvlease_types::Caller;
use tokio::{net::UnixStream, sync::watch, time::sleep};

use super::{handshake, inbox::Inbox, outgoing, session::Session};
use crate::context::Context;

/// How many bytes of answers are collected before they are sent, while more frames are there.
const ANSWERS_LEN: usize = 1 << 20;

/// After which time without a frame a connection gives back the memory of its buffers.
const IDLE: Duration = Duration::from_secs(1);

/// Reason why a connection ends.
enum End {
    /// The client closed it, or is gone: it uses nothing any more.
    Client,
    /// The daemon closes it: the client may still be copying, or writing.
    Daemon,
}

/// Serves a connection until either side ends it, or the sender of `stop` is dropped.
pub(super) async fn serve(
    context: Arc<Context>,
    caller: Caller,
    mut stream: UnixStream,
    stop: watch::Receiver<()>,
) {
    let mut inbox = Inbox::default();
    let mut stopped = stop.clone();
    let opened = tokio::select! {
        biased;
        _ = stopped.changed() => None,
        opened = handshake::open(&context, &mut stream, &mut inbox) => opened,
    };
    let Some(writes) = opened else { return };
    let mut session = Session::new(context, caller, writes);
    let end = converse(&mut session, &mut stream, &mut inbox, stop).await;
    match end {
        End::Client => session.leases.release_all(&session.context),
        End::Daemon => {
            tokio::spawn(session.reservations.outlive_writers());
        }
    }
}

async fn converse(
    session: &mut Session,
    stream: &mut UnixStream,
    inbox: &mut Inbox,
    mut stop: watch::Receiver<()>,
) -> End {
    let mut idle = false;
    loop {
        let goes_on = answer_what_is_there(session, inbox);
        if !session.out.is_empty() {
            if let Some(end) = send(session, stream).await {
                return end;
            }
            if goes_on {
                continue;
            }
        }
        if !goes_on {
            return End::Daemon;
        }
        let pause = time_to_pause(session, idle);
        let event = tokio::select! {
            biased;
            _ = stop.changed() => return End::Daemon,
            Some(waited) = session.waits.join_next() => {
                session.deliver(waited.expect("a panic ends the process"));
                Event::Woken
            }
            received = inbox.receive(stream) => match received {
                Ok(0) | Err(_) => Event::Gone,
                Ok(_) => Event::Woken,
            },
            () = sleep_for(pause) => Event::Paused,
        };
        match event {
            Event::Woken => idle = false,
            Event::Gone => return End::Client,
            Event::Paused => {
                session.reservations.end_overdue();
                session.shrink();
                inbox.shrink();
                idle = true;
            }
        }
    }
}

/// End of a connection's wait.
enum Event {
    /// There is something to do.
    Woken,
    /// The client has gone.
    Gone,
    /// Nothing has come for a while.
    Paused,
}

/// Does what all frames that are whole ask for, as long as not too many answers wait to be sent.
/// Returns whether the connection goes on.
fn answer_what_is_there(session: &mut Session, inbox: &mut Inbox) -> bool {
    while session.out.len() < ANSWERS_LEN {
        match inbox.next() {
            Ok(None) => return true,
            Ok(Some(frame)) => {
                if !session.handle(&frame) {
                    return false;
                }
            }
            Err(error) => {
                let code = FailureCode::FrameTooLong;
                session.context.metrics.lane.answered(None, Some(code), Duration::ZERO);
                return session.refuse(error.request, code, &error.to_string());
            }
        }
    }
    true
}

/// Sends all answers. Returns how the connection ends if that fails.
async fn send(session: &mut Session, stream: &UnixStream) -> Option<End> {
    let stall = session.context.config.put_stall_timeout;
    let sent = outgoing::write(stream, &session.out, stall).await;
    session.out.clear();
    match sent {
        Ok(()) => None,
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            tracing::warn!("a client of the fast lane takes no answers: closing its connection");
            Some(End::Daemon)
        }
        Err(_) => Some(End::Client),
    }
}

/// For how long nothing has to be done if nothing comes: until the first reservation ends, or
/// until the connection counts as idle.
fn time_to_pause(session: &Session, idle: bool) -> Option<Duration> {
    let end = session.reservations.next_end().map(|end| end.since(boot_time()));
    if idle { end } else { Some(end.map_or(IDLE, |end| end.min(IDLE))) }
}

async fn sleep_for(span: Option<Duration>) {
    match span {
        Some(span) => sleep(span).await,
        None => std::future::pending().await,
    }
}
