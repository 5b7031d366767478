//! HTTP client of the HyperPod KV protocol: connections to one daemon, single calls, lease guards.
//!
//! Every call ends within a named time ([`Timeouts`]), and holds one of a bounded number of
//! connections while it runs. What the daemon says about places in memory is input: a reader checks
//! it against its mapping.
//!
//! ```no_run
//! # async fn example() -> Result<(), kvlease_http::Error> {
//! use kvlease_http::{Client, ClientConfig};
//! use kvlease_types::Key;
//!
//! let client = Client::new(ClientConfig::new("http://127.0.0.1:9200".parse()?));
//! client.put(&Key::new("org/model@1@0@7f@half")?, "some bytes").await?;
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod address;
mod announcement;
mod attach;
mod body;
mod breaker;
mod buckets;
mod call;
mod client;
mod config;
mod connection;
mod core;
mod counters;
mod credentials;
mod error;
mod framing;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod head;
mod lease;
mod listing;
mod malformed;
mod observe;
mod operation;
mod pending_response;
mod pool;
mod reply;
mod request;
mod request_id;
mod socket;
mod stall;
mod stream;
mod tls;
mod token;
mod zone;

pub use address::{Address, AddressError, DEFAULT_PORT};
pub use announcement::Announcement;
pub use body::{PutBody, PutParts};
pub use breaker::{BreakerState, OPEN_AFTER, PROBE_AFTER_MAX, PROBE_AFTER_MIN};
pub use client::{Client, ObjectInfo, PutOutcome};
pub use config::{
    ANSWER_MARGIN_MIN, ClientConfig, DEFAULT_BUCKET, DEFAULT_CONNECTIONS_MAX,
    DEFAULT_PUT_PIECE_LEN, DEFAULT_REQUESTS_MAX, Timeouts,
};
pub use counters::Counters;
pub use error::{Error, or_absent};
pub use lease::Lease;
pub use listing::Listing;
pub use observe::{EventStream, SentEvent};
pub use request_id::RequestId;
pub use stream::{ObjectStream, check_sum};
pub use token::{Token, TokenError, TokenSource};
