//! Answers read from bytes instead of a socket: the door for the fuzzer, in its builds alone.

use std::{
    collections::VecDeque,
    fmt::Debug,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::BytesMut;
use http::StatusCode;
use kvlease_api::{LeaseReply, ListReply, RenewReply, StatsReply, TiersReply};
use kvlease_types::Key;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{
    Client, ClientConfig, Error, Lease, PutBody,
    connection::Connection,
    head::Head,
    operation::Operation,
    reply::{Call, Reply, checksum_header},
    request::Request,
    request_id::RequestId,
};

/// The calls whose answers differ in what is read from them.
const OPERATIONS: [Operation; 7] = [
    Operation::Get,
    Operation::Head,
    Operation::Lease,
    Operation::Renew,
    Operation::List,
    Operation::Stats,
    Operation::Tiers,
];

/// Outcome of an answer.
#[derive(PartialEq, Eq, Debug, Default)]
pub struct Answer {
    /// The head, and the value that was made of the answer or the error in its place.
    pub outcome: String,
    /// How long the body is by its head, if that says so.
    pub announced: Option<u64>,
    /// The bytes of an object's body that came.
    pub body: Vec<u8>,
    /// Whether the object came to its end.
    pub is_whole: bool,
    /// The most memory that was kept for bytes that had arrived and were not understood yet, in bytes.
    pub held_max: usize,
}

/// Reads the answer to a call, which `kind` chooses, that arrives in these pieces and ends with the
/// connection. A runtime has to be entered. An error of the call is an [outcome](Answer::outcome).
pub async fn answer(kind: u8, pieces: impl IntoIterator<Item = &[u8]>) -> Answer {
    let operation = OPERATIONS[usize::from(kind) % OPERATIONS.len()];
    let address = "peer:1".parse().expect("a host and a port");
    let client = Client::new(ClientConfig::new(address));
    // Leases are not released: there is no daemon.
    client.core.background.close();
    let key = Key::new("key").expect("a valid key");
    let call = Call { id: RequestId::SAME, ..Call::about(&client.core, operation, &key) };
    let mut answer = Answer::default();
    let outcome = read(&call, Connection::new(Peer::new(pieces)), &mut answer).await;
    let failed = |error: Error| format!("{error:?}: {error}");
    answer.outcome.push_str(&outcome.unwrap_or_else(failed));
    answer
}

async fn read(
    call: &Call<'_>,
    mut connection: Connection<Peer>,
    answer: &mut Answer,
) -> Result<String, Error> {
    let body = PutBody::empty();
    let mut request = Request { operation: call.operation, head: "\r\n".to_owned(), body };
    let head =
        connection.exchange(&mut request, 1, None).await.map_err(|fault| call.broken(fault))?;
    answer.outcome = format!("{head:?} ");
    answer.announced = head.len;
    if call.operation == Operation::Get && head.status == StatusCode::OK {
        return read_object(call, &head, &mut connection, answer).await;
    }
    let reply = Reply::of(head, &mut connection, *call).await;
    answer.held_max = connection.arrived.capacity();
    let reply = reply?;
    match call.operation {
        _ if !reply.head.status.is_success() => {
            let is_absent = reply.is_absent();
            Ok(format!("{is_absent} {:?}", reply.refused()))
        }
        Operation::Head => shown(checksum_header(&reply.head, call)),
        Operation::Lease => shown_lease(call, reply.json()?),
        Operation::Renew => shown_json::<RenewReply>(&reply),
        Operation::List => shown_json::<ListReply>(&reply),
        Operation::Tiers => shown_json::<TiersReply>(&reply),
        _ => shown_json::<StatsReply>(&reply),
    }
}

async fn read_object(
    call: &Call<'_>,
    head: &Head,
    connection: &mut Connection<Peer>,
    answer: &mut Answer,
) -> Result<String, Error> {
    let checksum = checksum_header(head, call)?;
    loop {
        let bytes = connection.next_bytes().await;
        answer.held_max = answer.held_max.max(connection.arrived.capacity());
        let Some(bytes) = bytes.map_err(|fault| call.broken(fault))? else { break };
        answer.body.extend_from_slice(&bytes);
    }
    answer.is_whole = true;
    Ok(format!("{checksum:?}"))
}

fn shown_json<T: DeserializeOwned + Debug>(reply: &Reply<'_>) -> Result<String, Error> {
    shown(reply.json::<T>())
}

fn shown(value: Result<impl Debug, Error>) -> Result<String, Error> {
    value.map(|value| format!("{value:?}"))
}

/// All of a lease but its deadline, which is a moment of now.
fn shown_lease(call: &Call<'_>, reply: LeaseReply) -> Result<String, Error> {
    let lease = Lease::new(call, reply, Instant::now(), Duration::from_secs(30))?;
    let shown = lease.map(|lease| {
        format!("{} {:?} {:?} {:?}", lease.id(), lease.len(), lease.checksum(), lease.extents())
    });
    Ok(format!("{shown:?}"))
}

/// A peer that answers whatever is written, and then closes.
struct Peer {
    pieces: VecDeque<BytesMut>,
    is_asked: bool,
}

impl Peer {
    fn new<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Self {
        // An empty piece would be the end.
        let pieces = pieces.into_iter().filter(|piece| !piece.is_empty());
        Self { pieces: pieces.map(BytesMut::from).collect(), is_asked: false }
    }
}

impl AsyncRead for Peer {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.is_asked {
            return Poll::Pending;
        }
        if let Some(piece) = self.pieces.front_mut() {
            buffer.put_slice(&piece.split_to(piece.len().min(buffer.remaining())));
            if piece.is_empty() {
                self.pieces.pop_front();
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Peer {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.is_asked = true;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
