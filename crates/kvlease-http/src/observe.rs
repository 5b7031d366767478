//! Calls of observers: whether the daemon takes work, its metrics, its events.

use std::{sync::Arc, time::Duration};

use bytes::{Buf, BytesMut};
use kvlease_api::encode;

use crate::{
    Client, Error, RequestId,
    call::{Limit, Opened},
    core::Core,
    operation::Operation,
    pool::PooledConnection,
    reply::Call,
};

/// The longest event in bytes: the longest names, escaped as JSON.
const EVENT_LEN_MAX: usize = 64 << 10;

/// How long a stream of events may be silent: three times the interval of the daemon's comments.
const SILENCE_MAX: Duration = Duration::from_secs(45);

/// End of an event.
const END: &[u8] = b"\n\n";

impl Client {
    /// Whether the daemon takes work.
    ///
    /// # Errors
    ///
    /// Those of any call; [`Error::Refused`], with the reason, by a daemon that takes none.
    pub async fn ready(&self) -> Result<(), Error> {
        let core = &self.core;
        let request = core.template.of_path(Operation::Ready, format_args!("/readyz"));
        core.success(Operation::Ready, request).await.map(drop)
    }

    /// The metrics of the daemon, in Prometheus' text format.
    ///
    /// # Errors
    ///
    /// Those of any call.
    pub async fn metrics(&self) -> Result<String, Error> {
        let core = &self.core;
        let request = core.template.of_path(Operation::Metrics, format_args!("/metrics"));
        core.success(Operation::Metrics, request).await?.text()
    }

    /// The events of the daemon: of one bucket, or of all. `snapshot` asks for the objects that are there
    /// first.
    ///
    /// # Errors
    ///
    /// Those of any call; [`Error::Refused`] by a daemon that has no events.
    pub async fn events(&self, bucket: Option<&str>, snapshot: bool) -> Result<EventStream, Error> {
        let core = &self.core;
        let bucket = bucket.map(|bucket| format!("&bucket={}", encode(bucket)));
        let query = format!("?snapshot={snapshot}{}", bucket.unwrap_or_default());
        let request = core.template.of_path(Operation::Events, format_args!("/v1/events{query}"));
        let call = Call::new(core, Operation::Events);
        match core.open(call, core.call_limit(), request).await? {
            Opened::Object(_, pooled) => {
                let (core, id) = (Arc::clone(core), call.id);
                Ok(EventStream { core, pooled, arrived: BytesMut::new(), id })
            }
            Opened::Other(reply) => Err(reply.refused()),
        }
    }
}

/// The events of a daemon as they arrive. Dropping it closes its connection.
#[derive(Debug)]
pub struct EventStream {
    core: Arc<Core>,
    pooled: PooledConnection,
    arrived: BytesMut,
    /// Id of the request.
    id: RequestId,
}

/// One server-sent event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SentEvent {
    /// Its kind: `sealed`, `evicted` and the others of the protocol.
    pub kind: String,
    /// Its data: one JSON object.
    pub data: String,
}

impl EventStream {
    /// The next event; `None` once the daemon has ended the stream.
    ///
    /// # Errors
    ///
    /// [`Error::Broken`] and [`Error::Protocol`] if events do not arrive whole;
    /// [`Error::TimedOut`] if not even the daemon's signs of life do.
    pub async fn next(&mut self) -> Result<Option<SentEvent>, Error> {
        let (core, operation) = (&self.core, Operation::Events);
        let call = Call { core, operation, key: None, id: self.id };
        loop {
            while let Some(end) = self.arrived.windows(END.len()).position(|at| at == END) {
                let event = parse(&self.arrived[..end]);
                self.arrived.advance(end + END.len());
                if event.is_some() {
                    return Ok(event);
                }
            }
            if self.arrived.len() > EVENT_LEN_MAX {
                return Err(call.protocol(format!("an event longer than `{EVENT_LEN_MAX}` bytes")));
            }
            let connection = &mut self.pooled.connection;
            let next = async { connection.next_bytes().await.map_err(|fault| call.broken(fault)) };
            let silence = Limit::new(SILENCE_MAX);
            let Some(bytes) = silence.apply(&call, next).await? else { return Ok(None) };
            self.arrived.extend_from_slice(&bytes);
        }
    }
}

/// Reads the lines of one event; `None` for a comment.
fn parse(lines: &[u8]) -> Option<SentEvent> {
    let lines = String::from_utf8_lossy(lines);
    let field =
        |name: &str| lines.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let (kind, data) = (field("event")?, field("data")?);
    Some(SentEvent { kind: kind.to_owned(), data: data.to_owned() })
}
