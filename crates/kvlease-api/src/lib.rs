//! Formats between the daemon and its clients. Over HTTP: the routes, their query parameters,
//! the bodies, the error codes, and the OpenAPI document made from them. Over the Unix socket:
//! the frames of the fast lane ([`lane`]).
//!
//! The wire words `offsets`, `len` and `length` are fixed by the stock clients; they are mapped
//! to the project's own words (extents) here and nowhere else. No implementation lives here, so
//! the daemon and the connector share one definition.

#![forbid(unsafe_code)]

mod body;
mod buckets;
mod checkpoint;
mod curve;
mod endpoint;
mod error;
mod events;
mod history;
pub mod lane;
mod openapi;
mod parameters;
mod percent;
mod query;
mod quota;
mod request_id;
mod route;
mod segments;
mod space;

pub use body::{
    ArenaStats, BucketStats, LEASE_ID_LEN_MAX, LeaseReply, LeasedExtent, Location, LocationsReply,
    RenewReply, StatsReply, StoredReply,
};
pub use buckets::{
    BucketUse, BucketsReply, PolicedBucket, PolicyQueryError, PolicyReply, policy_of_query,
};
pub use checkpoint::{LatestQuery, NamespaceQuery, NamespaceReply, SHARD_META_HEADER};
pub use curve::{ChosenReply, CurvePointReply, CurveReply, EvictionReply, PolicyHitRatio};
pub use endpoint::Endpoint;
pub use error::{ErrorBody, ErrorCode};
pub use events::{
    BLOCKS_HEADER, BLOCKS_LEN_MAX, CurrentEvent, EVENT_STREAM, EventId, EventsQuery,
    LAST_EVENT_ID_HEADER, ObjectEvent, ReasonEvent,
};
pub use history::{
    HISTORY_SAMPLES_MAX, HistoryQuery, HistoryReply, HistorySpan, STATUS_BUCKETS_MAX,
    StatusPageQuery,
};
pub use openapi::openapi_document;
pub use percent::{DecodeError, decode, encode};
pub use query::{
    LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX, LIST_TOKEN_LEN_MAX, LeaseQuery, ListCursor, ListQuery,
    ListedTiers, PAGE_LEN_MAX, QueryError, RenewQuery, ReportQuery, StatsQuery, TTL_MIN,
    UnknownTiers,
};
pub use quota::QuotaState;
pub use request_id::{REQUEST_ID_HEADER, REQUEST_ID_LEN_MAX, is_request_id};
pub use route::{Names, Route, RouteError};
pub use space::{
    HeldObject, ListReply, ListedObject, MEMORY, TierState, TiersReply, Total, UnansweredTier,
};

/// The content type of every JSON body. The stock multi-process client demands exactly this.
pub const JSON: &str = "application/json";

/// The content type of an object's bytes.
pub const OCTETS: &str = "application/octet-stream";

/// The header of a `GET` or `HEAD` reply that carries the object's checksum: 16 hexadecimal
/// digits, see [`kvlease_types::Checksum`].
pub const CHECKSUM_HEADER: &str = "kvlease-checksum-xxh3";

/// The header of a reply to a lease or `GET` that names the Unix socket of the fast lane, where
/// there is one: its path, as the daemon sees it.
pub const SOCKET_HEADER: &str = "kvlease-socket";

/// The header of every reply that carries the incarnation of the daemon: 16 hexadecimal digits, as
/// [`kvlease_types::Epoch`] shows them. A client compares it with that of a WELCOME.
pub const EPOCH_HEADER: &str = "kvlease-epoch";

/// The header of every reply that identifies the file of the daemon's segment: device and inode, as
/// `stat` shows them, with a hyphen between. A client compares it with what it mapped.
pub const SEGMENT_HEADER: &str = "kvlease-segment";
