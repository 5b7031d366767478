//! Errors on the wire: a few codes, each of which a caller would act on differently.

use kvlease_types::{Miss, RemoveRefused, WriteRefused};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Makes the enum with the lists that must name every code.
macro_rules! error_codes {
    ($($(#[$doc:meta])* $variant:ident $word:literal,)*) => {
        /// Reason of a refusal, for programs.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
        pub enum ErrorCode {
            $($(#[$doc])* #[serde(rename = $word)] $variant,)*
        }

        impl ErrorCode {
            /// All codes, in the order of their places.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word for it in bodies, metrics and documents.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }
    };
}

error_codes! {
    /// The path, a name, a parameter or a body is malformed: correct the request.
    Invalid "invalid",
    /// The daemon knows no tenant by what the request shows: send a tenant's token.
    Unauthorized "unauthorized",
    /// The tenant may not do that: see the message for the setting that allows it.
    Forbidden "forbidden",
    /// Too many logins from this address failed, or a quota of requests, connections or leases is used up: try
    /// later, and see the message.
    TooManyRequests "too_many_requests",
    /// The path names no route: correct the request.
    NoRoute "no_route",
    /// The route does not answer this method: see the `Allow` header.
    MethodNotAllowed "method_not_allowed",
    /// No such object, or no such live lease.
    NotFound "not_found",
    /// The object exists, or another client is writing it: nothing to do.
    Exists "exists",
    /// The body has neither a length nor chunked encoding: send `Content-Length`.
    LengthRequired "length_required",
    /// The object is larger than the daemon takes.
    TooLarge "too_large",
    /// The body did not arrive in time or ended early: send it again.
    BodyIncomplete "body_incomplete",
    /// The `Host` is no name of this daemon: a web page may have rebound a name to it.
    Misdirected "misdirected",
    /// The daemon does not know the transfer coding: send the body chunked, or with its length.
    NotImplemented "not_implemented",
    /// The object was still being written when the wait ended: ask again.
    StillWriting "still_writing",
    /// All space, or all of a quota, is held by leases, by writers, or not ready yet: try later.
    NoSpace "no_space",
    /// The daemon is at a limit or shutting down: try later.
    Unavailable "unavailable",
}

impl ErrorCode {
    /// Place in [`ErrorCode::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The HTTP status that carries it: the one place where codes become statuses.
    pub const fn status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NoRoute | Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::BodyIncomplete => 408,
            Self::Exists => 409,
            Self::LengthRequired => 411,
            Self::TooLarge => 413,
            Self::Misdirected => 421,
            Self::TooManyRequests => 429,
            Self::NotImplemented => 501,
            Self::Unavailable => 503,
            Self::StillWriting => 504,
            Self::NoSpace => 507,
        }
    }

    /// The code of an object that is not leased.
    pub const fn of_miss(miss: Miss) -> Self {
        match miss {
            Miss::Absent | Miss::Evicted | Miss::Elsewhere | Miss::Corrupt => Self::NotFound,
            Miss::Pending | Miss::NoRoom => Self::StillWriting,
            Miss::TooManyLeases | Miss::MemoryShort => Self::Unavailable,
            Miss::LeaseQuota => Self::TooManyRequests,
        }
    }

    /// The code of an object that is not stored.
    pub const fn of_write(refused: WriteRefused) -> Self {
        use WriteRefused as Refused;
        match refused {
            Refused::Exists | Refused::Pending => Self::Exists,
            Refused::TooLarge { .. } | Refused::BeyondCapacity { .. } => Self::TooLarge,
            Refused::OnlyLeased
            | Refused::Fragmented
            | Refused::NotPopulated
            | Refused::OverBytes { .. }
            | Refused::OverObjects { .. }
            | Refused::MemoryShort { .. } => Self::NoSpace,
            Refused::TooLong { .. } | Refused::BeyondReservation { .. } => Self::Invalid,
            Refused::Incomplete { .. } | Refused::Expired => Self::BodyIncomplete,
            // Only clients of the fast lane have reservations.
            Refused::Unknown => Self::NotFound,
            Refused::NotWritable | Refused::TooManyReservations => Self::Unavailable,
        }
    }

    /// The code of an object that is not removed.
    pub const fn of_remove(refused: RemoveRefused) -> Self {
        match refused {
            RemoveRefused::Absent => Self::NotFound,
            RemoveRefused::Pending => Self::Exists,
        }
    }
}

/// The body of every reply that is not a success.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ErrorBody {
    /// Reason of the refusal, for programs.
    pub code: ErrorCode,
    /// Reason of the refusal, for people: names the value and the remedy.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_miss_is_not_found_exactly_if_it_is_an_absence() {
        for miss in Miss::ALL {
            let not_found = ErrorCode::of_miss(*miss) == ErrorCode::NotFound;
            assert_eq!(not_found, miss.is_absence(), "{miss:?}");
        }
        assert_eq!(ErrorCode::of_miss(Miss::Pending).name(), Miss::Pending.name());
    }

    #[test]
    fn every_code_has_its_place_and_its_word_in_bodies() {
        for (index, code) in ErrorCode::ALL.iter().enumerate() {
            assert_eq!(code.index(), index);
            assert_eq!(serde_json::to_value(code).unwrap(), code.name());
        }
    }
}
