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

pub mod adapter;
mod address;
mod attach;
pub mod blocking;
mod body;
mod breaker;
mod busy_poll;
mod call;
mod client;
mod config;
mod connection;
mod connector;
mod counters;
mod error;
mod framing;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod head;
pub mod lane;
mod lazy_stream;
mod lease;
mod malformed;
mod operation;
mod pending_response;
mod pool;
mod reply;
mod request;
mod socket;
mod stream;
mod tls;

pub use address::{Address, AddressError, DEFAULT_PORT};
pub use body::PutBody;
pub use breaker::{BreakerState, OPEN_AFTER, PROBE_AFTER_MAX, PROBE_AFTER_MIN};
pub use busy_poll::AdaptiveSpin;
pub use client::{Client, ObjectInfo, PutOutcome};
pub use config::{
    ClientConfig, DEFAULT_BUCKET, DEFAULT_CONNECTIONS_MAX, DEFAULT_PUT_PIECE_LEN,
    DEFAULT_REQUESTS_MAX, Timeouts,
};
pub use connector::{
    Connector, ConnectorConfig, ConnectorStats, HELD_LEASES_MAX, LISTED_OBJECTS_MAX, Notice,
    OpenObject, Severity, SocketChoice, View,
};
pub use counters::Counters;
pub use error::Error;
pub use kvlease_api::{
    ErrorCode, LeaseReply, ListReply, ListedObject, SOCKET_HEADER, StatsReply, encode,
};
pub use kvlease_attach::Attachment;
pub use kvlease_sys::{ExternalBuffer, ExternalBytes};
pub use kvlease_types::SegmentName;
pub use kvlease_types::{BucketName, ByteSize, Checksum, Extent, Key};
pub use lease::Lease;
pub use stream::{ObjectStream, check_sum};
