//! A client of the HyperPod KV protocol, for any daemon that speaks it.
//!
//! Writes go over HTTP. Reads take a lease over HTTP and copy the object's bytes from the
//! daemon's shared memory; without shared memory they stream over HTTP.
//!
//! What every call promises:
//!
//! * It ends within a named time ([`Timeouts`]), and holds one of a bounded number of
//!   connections while it runs.
//! * Bytes that it returns are whole, were read while their lease held, and match their checksum
//!   if the daemon sent one. Everything else is an error or a miss, never data.
//! * What the daemon says about places in memory is input: it is checked against the mapping.
//!
//! ```no_run
//! # async fn example() -> Result<(), kvlease_client::Error> {
//! use kvlease_client::{ClientConfig, Connector, ConnectorConfig, Key};
//!
//! let mut config = ClientConfig::new("http://127.0.0.1:9200".parse()?);
//! config.shared_memory_name = Some("shared_memory".parse()?);
//! let connector = Connector::new(ConnectorConfig::new(config));
//! let key = Key::new("org/model@1@0@7f@half")?;
//! connector.put(&key, "some bytes").await?;
//! let bytes = connector.get(&key).await?;
//! assert_eq!(bytes.as_deref(), Some(b"some bytes".as_slice()));
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

pub use kvlease_api::{
    ArenaStats, BucketStats, BucketUse, BucketsReply, CurvePointReply, CurveReply, ErrorCode,
    HeldObject, LeaseReply, ListReply, ListedObject, ListedTiers, PolicedBucket, PolicyReply,
    QuotaState, SOCKET_HEADER, StatsReply, TierState, TiersReply, Total, UnansweredTier, encode,
};
pub use kvlease_attach::{Attachment, TrustedUsers};
pub use kvlease_connector::{
    CACHED_LEASES_MAX, Connector, ConnectorConfig, ConnectorStats, Destination, LISTED_OBJECTS_MAX,
    Notice, OpenObject, POST_ERRORS_MAX, PostReport, Posts, ReservedSpace, Severity, SocketChoice,
    View, backend, blocking,
};
#[cfg(fuzzing)]
#[doc(hidden)]
pub use kvlease_http::fuzzing;
pub use kvlease_http::{
    Address, AddressError, Announcement, BreakerState, Client, ClientConfig, Counters,
    DEFAULT_BUCKET, DEFAULT_CONNECTIONS_MAX, DEFAULT_PORT, DEFAULT_PUT_PIECE_LEN,
    DEFAULT_REQUESTS_MAX, Error, EventStream, Lease, Listing, OPEN_AFTER, ObjectInfo, ObjectStream,
    PROBE_AFTER_MAX, PROBE_AFTER_MIN, PutBody, PutOutcome, RequestId, SentEvent, Timeouts, Token,
    TokenError, TokenSource,
};
pub use kvlease_io::AdaptiveSpin;
pub use kvlease_lane as lane;
pub use kvlease_lmcache as adapter;
pub use kvlease_sys::{ExternalBuffer, ExternalBytes, ExternalMemory, RegionError};
pub use kvlease_types::SegmentName;
pub use kvlease_types::{
    BucketName, BucketPolicy, ByteSize, Checksum, Extent, Key, human_size, with_causes,
};
