//! Server-sent events: parameters, ids and data of `GET /v1/events`.

use std::{borrow::Cow, fmt, time::Duration};

use kvlease_types::{BUCKET_LEN_MAX, Epoch};
use serde::{Deserialize, Serialize};

use crate::query::{QueryError, bad, name, parameter, timeout};

/// The content type of server-sent events.
pub const EVENT_STREAM: &str = "text/event-stream";

/// The header in which a client that connects again sends the id of the last event that it has.
pub const LAST_EVENT_ID_HEADER: &str = "last-event-id";

/// The header in which a client of `PUT` tells the blocks of its object, as JSON, for KV events.
pub const BLOCKS_HEADER: &str = "kvlease-blocks";

/// The most bytes of that header. The head of a request has 16 KiB in all.
pub const BLOCKS_LEN_MAX: usize = 8192;

/// The parameters of a request for events.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EventsQuery {
    /// `bucket`: only events of this bucket.
    pub bucket: Option<String>,
    /// `snapshot`: whether the objects that are there come first, and behind a loss.
    pub snapshot: bool,
    /// `timeout_ms`: how long the stream lasts at most.
    pub timeout: Option<Duration>,
}

impl EventsQuery {
    /// Parses the raw query of a request.
    pub fn parse(raw_query: Option<&str>) -> Result<Self, QueryError> {
        let bucket = name(raw_query, "bucket", BUCKET_LEN_MAX)?;
        let snapshot = match parameter(raw_query, "snapshot")?.as_deref() {
            None | Some("true") => true,
            Some("false") => false,
            Some(other) => return Err(bad("snapshot", "true or false", other.to_owned())),
        };
        Ok(Self { bucket, snapshot, timeout: timeout(raw_query)? })
    }
}

/// Id of an event: the incarnation of the daemon, and the number of the event within it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EventId {
    /// The incarnation.
    pub epoch: Epoch,
    /// The number, which rises.
    pub sequence: u64,
}

impl EventId {
    /// The number of an id that this incarnation gave out; `None` for any other text.
    pub fn sequence_of(id: &str, epoch: Epoch) -> Option<u64> {
        let (incarnation, sequence) = id.split_once('-')?;
        let is_ours = incarnation == epoch.to_string();
        sequence.parse().ok().filter(|_| is_ours)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.sequence)
    }
}

/// Data of the events `present`, `sealed`, `restored`, `removed`, `expired`, `evicted` and `corrupt`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ObjectEvent<'a> {
    /// Bucket of the object.
    pub bucket: Cow<'a, str>,
    /// Its key.
    pub key: Cow<'a, str>,
    /// Its length in bytes.
    pub len: u64,
    /// Its generation, which differs from that of every other object of this incarnation.
    pub generation: u64,
    /// The tier that it came to or left.
    pub tier: Cow<'a, str>,
    /// Of `evicted`: whether a tier below has a copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copied: Option<bool>,
}

/// Data of the events `lost` and `end`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReasonEvent {
    /// Of `lost`: `restart` or `behind`. Of `end`: `drain` or `timeout`.
    pub reason: String,
}

/// Data of the event `current`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CurrentEvent {
    /// Events `present` before it.
    pub objects: u64,
    /// The incarnation of the daemon, 16 hexadecimal digits.
    pub epoch: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_without_parameters_is_for_all_events_with_a_snapshot_and_without_an_end() {
        let expected = EventsQuery { bucket: None, snapshot: true, timeout: None };
        assert_eq!(EventsQuery::parse(None), Ok(expected));
        let query = EventsQuery::parse(Some("bucket=a%2Fb&snapshot=false&timeout_ms=0")).unwrap();
        assert_eq!(query.bucket.as_deref(), Some("a/b"));
        assert_eq!((query.snapshot, query.timeout), (false, Some(Duration::ZERO)));
        for raw in ["snapshot=1", "timeout_ms=-1", "timeout_ms=x", "bucket=%zz"] {
            assert!(EventsQuery::parse(Some(raw)).is_err(), "{raw}");
        }
    }

    #[test]
    fn an_id_of_another_incarnation_has_no_number() {
        let epoch = Epoch::new(7);
        let id = EventId { epoch, sequence: 12 }.to_string();
        assert_eq!(EventId::sequence_of(&id, epoch), Some(12));
        assert_eq!(EventId::sequence_of(&id, Epoch::new(8)), None);
        for id in ["", "-", "12", "0000000000000007-x", "0000000000000007-"] {
            assert_eq!(EventId::sequence_of(id, epoch), None, "{id}");
        }
    }
}
