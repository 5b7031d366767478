//! Errors on the wire: a few codes, each of which a caller would act on differently.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What went wrong, for programs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The path, a name, a parameter or a body is malformed: mend the request.
    Invalid,
    /// The path names no route: mend the request.
    NoRoute,
    /// The route does not answer this method: see the `Allow` header.
    MethodNotAllowed,
    /// No such object, or no such live lease.
    NotFound,
    /// The object exists, or is being written by someone else: nothing to do.
    Exists,
    /// The body has neither a length nor chunked encoding: send `Content-Length`.
    LengthRequired,
    /// The object is larger than the daemon takes.
    TooLarge,
    /// The body did not arrive in time or ended early: send it again.
    BodyIncomplete,
    /// The object was still being written when the wait ended: ask again.
    StillWriting,
    /// All space is held by leases, by writers, or not ready yet: try later.
    NoSpace,
    /// The daemon is at a limit or shutting down: try later.
    Unavailable,
}

impl ErrorCode {
    /// All codes, for documents and tests.
    pub const ALL: [Self; 11] = [
        Self::Invalid,
        Self::NoRoute,
        Self::MethodNotAllowed,
        Self::NotFound,
        Self::Exists,
        Self::LengthRequired,
        Self::TooLarge,
        Self::BodyIncomplete,
        Self::StillWriting,
        Self::NoSpace,
        Self::Unavailable,
    ];

    /// The HTTP status that carries it: the one place where codes become statuses.
    pub const fn status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::NoRoute | Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::BodyIncomplete => 408,
            Self::Exists => 409,
            Self::LengthRequired => 411,
            Self::TooLarge => 413,
            Self::Unavailable => 503,
            Self::StillWriting => 504,
            Self::NoSpace => 507,
        }
    }
}

/// The body of every reply that is not a success.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ErrorBody {
    /// What went wrong, for programs.
    pub code: ErrorCode,
    /// What went wrong, for people: names the value and the cure.
    pub message: String,
}
