//! One connection: from its hello to its end.

use std::{io, os::fd::AsFd, sync::Arc, time::Duration};

use kvlease_api::lane::{FailureCode, Request};
use kvlease_sys::boot_time;
use kvlease_types::Caller;
use tokio::{
    net::UnixStream,
    sync::watch,
    task::yield_now,
    time::{Instant, sleep},
};

use super::{
    answers::answer_len_max,
    handshake,
    inbox::Inbox,
    leases,
    noted::Answered,
    outgoing,
    session::{Session, Waited},
};
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
        opened = handshake::open(&context, &caller, &mut stream, &mut inbox) => opened,
    };
    let Some(writes) = opened else { return };
    let mut session = Session::new(context, caller, writes);
    let end = converse(&mut session, &mut stream, &mut inbox, stop).await;
    match end {
        End::Client => leases::release_all(&session.context, &session.caller),
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
    let context = Arc::clone(&session.context);
    let memory = &context.memory;
    let mut idle = false;
    loop {
        let next = answer_what_is_there(session, inbox).await;
        if !session.out.is_empty() {
            if let Some(moment) = session.not_before.take() {
                tokio::select! {
                    biased;
                    _ = stop.changed() => return End::Daemon,
                    () = tokio::time::sleep_until(moment) => {}
                }
            }
            if let Some(end) = send(session, stream).await {
                return end;
            }
        }
        // A client that sends without a pause takes no more of a thread than others do.
        if inbox.ends_turn() {
            yield_now().await;
        }
        match next {
            Next::Frames => continue,
            Next::End => return End::Daemon,
            Next::Receive => {}
        }
        let late = inbox.settle(memory);
        let pause = time_to_pause(session, idle);
        let event = tokio::select! {
            biased;
            _ = stop.changed() => return End::Daemon,
            Some(waited) = session.waits.join_next() => {
                Event::Waited(waited.expect("a panic ends the process"))
            }
            received = inbox.receive(stream, memory) => match received {
                // It had no memory for a frame: the client is still there.
                Err(error) if error.kind() == io::ErrorKind::TimedOut => Event::Late,
                Ok(0) | Err(_) => Event::Gone,
                Ok(_) => Event::Received,
            },
            () = sleep_until(late) => Event::Late,
            () = sleep_for(pause) => Event::Paused,
        };
        idle = matches!(event, Event::Paused);
        match event {
            Event::Received => {}
            Event::Waited(waited) => {
                if !deliver(session, waited).await {
                    return End::Daemon;
                }
            }
            Event::Gone => return End::Client,
            Event::Late => {
                tracing::warn!("a frame of the fast lane did not become whole in time: closing");
                return End::Daemon;
            }
            Event::Paused => {
                session.reservations.end_overdue();
                session.shrink();
                inbox.shrink();
            }
        }
    }
}

/// End of a connection's wait.
enum Event {
    /// Bytes are here.
    Received,
    /// An acquire has waited.
    Waited(Waited),
    /// A frame did not become whole in time.
    Late,
    /// The client has gone.
    Gone,
    /// Nothing has come for a while.
    Paused,
}

/// Continuation of a connection once its answers were sent.
enum Next {
    /// There are more frames.
    Frames,
    /// The rest of a frame has to come.
    Receive,
    /// The connection ends.
    End,
}

/// Does what all frames that are whole ask for, as long as not too many answers wait to be sent.
async fn answer_what_is_there(session: &mut Session, inbox: &mut Inbox) -> Next {
    let context = Arc::clone(&session.context);
    // Descriptors go with a byte of what is sent at once: no two answers have some.
    while session.out.len() < ANSWERS_LEN && !session.out.has_descriptors() && !inbox.has_had_turn()
    {
        let (frame, len) = match inbox.front() {
            Ok(None) => return Next::Receive,
            Ok(Some(front)) => front,
            Err(error) => {
                let code = FailureCode::FrameTooLong;
                session.answered(&Answered {
                    request: error.request,
                    kind: None,
                    bucket: None,
                    refused: Some(code),
                    took: Duration::ZERO,
                    span: None,
                });
                session.refuse(error.request, code, &error.to_string());
                return Next::End;
            }
        };
        let request = Request::decode(&frame);
        let limit = context.config.put_stall_timeout;
        if !session.out.make_room(answer_len_max(&request), &context.memory, limit).await {
            // Sending what is there makes room; with nothing to send, others hold all memory.
            return if session.out.is_empty() { Next::End } else { Next::Frames };
        }
        let goes_on = session.handle(&frame, request);
        session.out.fit();
        inbox.pass(len);
        if !goes_on {
            return Next::End;
        }
    }
    Next::Frames
}

/// Answers a request that has waited. Returns whether there was memory for it.
async fn deliver(session: &mut Session, waited: Waited) -> bool {
    let context = Arc::clone(&session.context);
    let limit = context.config.put_stall_timeout;
    let room = session.out.make_room(waited.answer_len(), &context.memory, limit).await;
    if room {
        session.deliver(waited);
        session.out.fit();
    }
    room
}

/// Sends all answers. Returns how the connection ends if that fails.
async fn send(session: &mut Session, stream: &UnixStream) -> Option<End> {
    let stall = session.context.config.put_stall_timeout;
    let passed = session.out.take_descriptors();
    let answers = session.out.as_slice();
    let sent = match &passed {
        None => outgoing::write(stream, answers, stall).await,
        Some((at, descriptors)) => {
            let (before, with) = answers.split_at(*at);
            match outgoing::write(stream, before, stall).await {
                Ok(()) => {
                    let descriptors = descriptors.each_ref().map(AsFd::as_fd);
                    outgoing::write_with(stream, with, &descriptors, stall).await
                }
                failed => failed,
            }
        }
    };
    session.out.clear(&session.context.memory);
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

async fn sleep_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

async fn sleep_for(span: Option<Duration>) {
    match span {
        Some(span) => sleep(span).await,
        None => std::future::pending().await,
    }
}
