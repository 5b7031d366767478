//! Lines of the access log.

use serde::Serialize;

/// Line of a request over HTTP.
#[derive(Serialize)]
pub(crate) struct RequestLine<'a> {
    pub(crate) at_unix_ms: u64,
    pub(crate) request_id: &'a str,
    pub(crate) via: &'static str,
    pub(crate) peer: String,
    pub(crate) tenant: Option<&'a str>,
    /// As in the metrics.
    pub(crate) operation: &'static str,
    pub(crate) method: &'a str,
    /// Template of the path; `null` for a path that is none of the daemon's.
    pub(crate) route: Option<&'static str>,
    pub(crate) bucket: Option<&'a str>,
    /// `ok`, or the code of the refusal.
    pub(crate) outcome: &'static str,
    pub(crate) status: u16,
    /// Bytes of the body that the client announced.
    pub(crate) received: Option<u64>,
    /// Bytes of the answer's body, unless it has no length.
    pub(crate) sent: Option<u64>,
    pub(crate) took_us: u64,
}

/// Line of a frame of the fast lane.
#[derive(Serialize)]
pub(crate) struct FrameLine<'a> {
    pub(crate) at_unix_ms: u64,
    pub(crate) connection: u32,
    pub(crate) request: u64,
    pub(crate) via: &'static str,
    pub(crate) peer: String,
    pub(crate) tenant: Option<&'a str>,
    /// Kind of the frame in lower case.
    pub(crate) operation: String,
    /// The one that the frame names, if it names one.
    pub(crate) bucket: Option<&'a str>,
    /// `ok`, or the code of the refusal of the whole frame.
    pub(crate) outcome: &'static str,
    pub(crate) took_us: u64,
}
