//! Server-sent events: what is published and unpublished, for one client each.
//!
//! A stream is never more than a few [`Pieces`] ahead of its client, and waits for it; what happens
//! meanwhile waits in the engine's log. A client that is so slow that its next event has left the log
//! gets `lost` and a snapshot.

use std::{io::Write as _, time::Duration};

use http::{HeaderMap, HeaderValue, header};
use kvlease_api::{
    CurrentEvent, EVENT_STREAM, ErrorCode, EventId, EventsQuery, LAST_EVENT_ID_HEADER, MEMORY,
    ObjectEvent, ReasonEvent,
};
use kvlease_cache::ObjectInfo;
use kvlease_engine::{Delivery, Event, EventKind, Subscription};
use kvlease_types::{BUCKET_LEN_MAX, BucketName, ByteSize, Epoch, KEY_LEN_MAX, Key};
use serde::Serialize;
use tokio::{
    task::yield_now,
    time::{Instant, sleep_until, timeout},
};

use super::{
    body::Body,
    connection::Socket,
    pieces::{Outlet, PIECES_MAX, Pieces},
    reply::{self, Answer, Refusal, Reply},
};
use crate::{connection_memory::Purpose, context::Context};

/// Length in bytes at which a piece of the stream is sent.
const PIECE_LEN: usize = 8 << 10;

/// The longest event in bytes: a bucket and a key of characters that JSON escapes with six bytes each,
/// and the rest.
const EVENT_LEN_MAX: usize = 6 * (BUCKET_LEN_MAX + KEY_LEN_MAX) + 512;

/// Memory of a stream: pieces that the client has not taken, and the one that is made.
const STREAM_MEMORY: usize = (PIECES_MAX + 1) * (PIECE_LEN + EVENT_LEN_MAX);

/// The most events or objects of one look at the engine.
const ITEMS: usize = 64;

/// Time without an event after which a comment shows the client, and what is on the way, that the
/// stream lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How long a stream goes on behind its end while there are events to be read.
const OVERTIME: Duration = Duration::from_secs(1);

const IN_MEMORY: &str = "writing to memory does not fail";

/// Answers with a stream.
pub(super) async fn stream(
    context: &Context,
    query: Option<&str>,
    headers: &HeaderMap,
    socket: &Socket,
) -> Answer {
    let query = EventsQuery::parse(query).map_err(Refusal::invalid)?;
    context.status.check()?;
    let held = reply::memory(context, Purpose::Replies, STREAM_MEMORY).await?;
    let subscription = context.engine.subscribe().ok_or_else(|| {
        let text = "there are as many subscribers to events as can be: try again later";
        Refusal::new(ErrorCode::Unavailable, text)
    })?;
    let last = headers.get(LAST_EVENT_ID_HEADER).map(HeaderValue::as_bytes);
    let last = last.map(|id| String::from_utf8_lossy(id).into_owned());
    let epoch = context.status.epoch();
    let until = query.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let pieces = Pieces::new(held, socket, |outlet| {
        let text = Vec::new();
        Writer { subscription, epoch, query, until, text, outlet }.write(last)
    });
    let reply = Reply::new(Some(EVENT_STREAM), Body::Stream(pieces));
    Ok(reply.with(header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
}

/// Writer of one stream.
struct Writer {
    subscription: Subscription,
    epoch: Epoch,
    query: EventsQuery,
    /// End of the stream.
    until: Option<Instant>,
    /// Events that were not sent yet.
    text: Vec<u8>,
    outlet: Outlet,
}

/// Reason why a stream goes on without what came before.
enum Lost {
    Restart,
    Behind,
}

impl Writer {
    async fn write(mut self, last: Option<String>) {
        match last.map(|id| EventId::sequence_of(&id, self.epoch)) {
            None => self.snapshot().await,
            Some(None) => self.lost(Lost::Restart).await,
            Some(Some(sequence)) => {
                if !self.subscription.resume(sequence.saturating_add(1)) {
                    self.lost(Lost::Behind).await;
                }
            }
        }
        let end = loop {
            self.send().await;
            // A client that is behind is not woken by events.
            self.outlet.ready().await;
            let next = timeout(KEEP_ALIVE, self.subscription.next(ITEMS));
            let next = tokio::select! {
                biased;
                next = next => next,
                () = end_of(self.until) => break "timeout",
            };
            if self.until.is_some_and(|until| until + OVERTIME <= Instant::now()) {
                break "timeout";
            }
            match next {
                Err(_) => self.text.extend_from_slice(b":\n\n"),
                Ok(Delivery::Closed) => break "drain",
                Ok(Delivery::Lost) => self.lost(Lost::Behind).await,
                Ok(Delivery::Events(events)) => {
                    for event in &events {
                        self.event(event).await;
                    }
                }
            }
        };
        self.push("end", None, &ReasonEvent { reason: end.to_owned() });
        self.send().await;
    }

    /// Tells that events were missed, and begins anew.
    async fn lost(&mut self, lost: Lost) {
        let reason = match lost {
            Lost::Restart => "restart",
            Lost::Behind => "behind",
        };
        self.push("lost", None, &ReasonEvent { reason: reason.to_owned() });
        self.snapshot().await;
    }

    /// Sends the objects that are there, unless the client wants none. Only the end has an id: a client
    /// that breaks off before has no whole snapshot.
    async fn snapshot(&mut self) {
        let mut snapshot = self.subscription.snapshot();
        let mut objects = 0;
        while self.query.snapshot
            && let Some(page) = snapshot.page(ITEMS)
        {
            for object in &page {
                if self.wants(object.bucket.as_str()) {
                    self.push("present", None, &of_object(object));
                    self.send_when_full().await;
                    objects += 1;
                }
            }
            // There may be no object of this bucket among millions.
            yield_now().await;
        }
        let current = CurrentEvent { objects, epoch: self.epoch.to_string() };
        self.push("current", Some(snapshot.next() - 1), &current);
    }

    async fn event(&mut self, event: &Event) {
        if self.wants(event.bucket.as_str()) {
            self.push(name(event.kind), Some(event.sequence), &of_event(event));
        }
        self.send_when_full().await;
    }

    fn wants(&self, bucket: &str) -> bool {
        self.query.bucket.as_deref().is_none_or(|wanted| wanted == bucket)
    }

    /// Appends an event.
    fn push(&mut self, name: &str, sequence: Option<u64>, data: &impl Serialize) {
        let text = &mut self.text;
        if let Some(sequence) = sequence {
            writeln!(text, "id: {}", EventId { epoch: self.epoch, sequence }).expect(IN_MEMORY);
        }
        write!(text, "event: {name}\ndata: ").expect(IN_MEMORY);
        serde_json::to_writer(&mut *text, data).expect("the API's events have string keys");
        text.extend_from_slice(b"\n\n");
    }

    async fn send_when_full(&mut self) {
        if self.text.len() >= PIECE_LEN {
            self.send().await;
        }
    }

    async fn send(&mut self) {
        if !self.text.is_empty() {
            self.outlet.send(std::mem::take(&mut self.text)).await;
        }
    }
}

async fn end_of(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}

/// Name of an event.
pub(super) const fn name(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Sealed => "sealed",
        EventKind::Restored => "restored",
        EventKind::Removed => "removed",
        EventKind::Expired => "expired",
        EventKind::Evicted { .. } => "evicted",
        EventKind::Corrupt => "corrupt",
    }
}

fn of_event(event: &Event) -> ObjectEvent<'_> {
    let Event { kind, bucket, key, len, generation, .. } = event;
    let copied = match *kind {
        EventKind::Evicted { copied } => Some(copied),
        _ => None,
    };
    ObjectEvent { copied, ..data(bucket, key, *len, *generation) }
}

fn of_object(object: &ObjectInfo) -> ObjectEvent<'_> {
    data(&object.bucket, &object.key, object.len, object.generation)
}

fn data<'a>(
    bucket: &'a BucketName,
    key: &'a Key,
    len: ByteSize,
    generation: u64,
) -> ObjectEvent<'a> {
    ObjectEvent {
        bucket: bucket.as_str().into(),
        key: key.as_str().into(),
        len: len.bytes(),
        generation,
        tier: MEMORY.into(),
        copied: None,
    }
}
