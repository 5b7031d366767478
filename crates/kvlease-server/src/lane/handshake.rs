//! The first frame of each side, and the two descriptors.

use std::{io, os::fd::AsFd, time::Duration};

use kvlease_api::lane::{
    FRAME_LEN_MAX, Failure, FailureCode, Frame, Hello, KEYS_MAX, Malformed, Request, VERSION,
    Welcome, write_failure,
};
use kvlease_types::{ByteSize, Caller};
use rustix::fs::fstat;
use tokio::{net::UnixStream, time::timeout};

use super::{gate, inbox::Inbox, outgoing};
use crate::context::Context;

/// How long a client may take to send its hello, and to take the welcome.
const HELLO_LIMIT: Duration = Duration::from_secs(5);

/// Opens a connection. Returns whether its client may write; `None` if it was not opened.
pub(super) async fn open(
    context: &Context,
    caller: &Caller,
    stream: &mut UnixStream,
    inbox: &mut Inbox,
) -> Option<bool> {
    let opened = timeout(HELLO_LIMIT, greet(context, caller, stream, inbox)).await;
    match opened {
        Ok(Ok(writes)) => Some(writes),
        Ok(Err(error)) => {
            tracing::debug!("a client of the fast lane was not welcomed: {error}");
            None
        }
        Err(_) => {
            tracing::debug!("a client of the fast lane sent no hello in time");
            None
        }
    }
}

async fn greet(
    context: &Context,
    caller: &Caller,
    stream: &mut UnixStream,
    inbox: &mut Inbox,
) -> io::Result<bool> {
    // Receive until the first frame is whole; it must be a hello.
    let (request, hello) = loop {
        let frame = inbox.front().map_err(|error| (error.request, not_hello()));
        let hello = |(frame, len)| hello(&frame).map(|hello| (hello, len));
        match frame.and_then(|frame| frame.map(hello).transpose()) {
            Ok(Some((hello, len))) => {
                inbox.pass(len);
                break hello;
            }
            Ok(None) => {}
            Err((request, refusal)) => return refuse(stream, request, refusal).await,
        }
        inbox.settle(&context.memory);
        if inbox.receive(stream, &context.memory).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    // A client may write if it asks to and the operator allows it.
    let writes = hello.writes && context.config.socket_writers;
    let writes = match gate::admit_hello(context, caller, writes) {
        Ok(writes) => writes,
        Err(text) => return refuse(stream, request, (FailureCode::NotAllowed, text)).await,
    };
    let arena = match context.engine.arena_descriptor(writes) {
        Ok(arena) => arena,
        Err(error) => {
            tracing::warn!("cannot pass the arena to a client of the fast lane: {error}");
            let text = format!("the daemon cannot pass the arena: see its log, error=`{error}`");
            return refuse(stream, request, (FailureCode::Unavailable, text)).await;
        }
    };
    let capacity = ByteSize::new(fstat(&arena)?.st_size.unsigned_abs());
    let mut frame = Vec::new();
    welcome(context, writes, capacity).write(&mut frame, request);
    let descriptors = [arena.as_fd(), context.engine.generations().descriptor()];
    outgoing::write_with(stream, &frame, &descriptors, HELLO_LIMIT).await?;
    Ok(writes)
}

/// Refusal instead of a welcome, and the number of the frame that it answers.
type Refused = (u64, (FailureCode, String));

/// The hello that the frame is, with its number.
fn hello(frame: &Frame<'_>) -> Result<(u64, Hello), Refused> {
    let refused = |refusal| Err((frame.request, refusal));
    match Request::decode(frame) {
        Ok(Request::Hello(hello)) if hello.version == VERSION => Ok((frame.request, hello)),
        Ok(Request::Hello(hello)) => {
            let theirs = hello.version;
            let text = format!(
                "another version of the fast lane is spoken here: use a client of this daemon's \
                 version, or HTTP, speaks=`{VERSION}`, version=`{theirs}`"
            );
            refused((FailureCode::Version, text))
        }
        Err(error @ Malformed::Magic) => {
            refused((FailureCode::Version, format!("{error}, speaks=`{VERSION}`")))
        }
        Ok(_) | Err(_) => refused(not_hello()),
    }
}

fn not_hello() -> (FailureCode, String) {
    (FailureCode::Order, "the first frame is no hello: send one first".into())
}

async fn refuse(
    stream: &UnixStream,
    request: u64,
    (code, text): (FailureCode, String),
) -> io::Result<bool> {
    let mut frame = Vec::new();
    write_failure(&mut frame, request, &Failure { code, text: &text });
    outgoing::write(stream, &frame, HELLO_LIMIT).await?;
    Err(io::Error::other(text))
}

fn welcome(context: &Context, writes: bool, capacity: ByteSize) -> Welcome {
    let config = &context.config;
    let items = |count: usize| u32::try_from(count).expect("the limits of frames are small");
    Welcome {
        writes,
        epoch: context.status.epoch(),
        capacity,
        object_len_max: config.object_len_max,
        lease_ttl_max: config.lease_ttl_max,
        reservation_ttl: config.reservation_ttl,
        keys_max: items(KEYS_MAX),
        frame_len_max: items(FRAME_LEN_MAX),
        slots: context.engine.generations().slots(),
    }
}
