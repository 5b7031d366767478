//! The operations that requests are counted by.

use http::Method;
use kvlease_api::{ErrorCode, Route};
use prometheus_client::encoding::EncodeLabelSet;

/// What a request asks for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Operation {
    Put,
    Lease,
    Release,
    Renew,
    Get,
    Head,
    Delete,
    Locations,
    List,
    Admin,
    Unknown,
}

/// Every operation, in the order of their numbers.
pub(super) const OPERATIONS: [Operation; 11] = [
    Operation::Put,
    Operation::Lease,
    Operation::Release,
    Operation::Renew,
    Operation::Get,
    Operation::Head,
    Operation::Delete,
    Operation::Locations,
    Operation::List,
    Operation::Admin,
    Operation::Unknown,
];

impl Operation {
    pub(crate) fn of(method: &Method, route: Option<&Route>) -> Self {
        match (method, route) {
            (&Method::PUT, Some(Route::Object(..))) => Self::Put,
            (&Method::GET, Some(Route::Object(..))) => Self::Get,
            (&Method::HEAD, Some(Route::Object(..))) => Self::Head,
            (&Method::DELETE, Some(Route::Object(..))) => Self::Delete,
            (&Method::POST, Some(Route::Leases(..))) => Self::Lease,
            (&Method::POST, Some(Route::Release(_))) => Self::Release,
            (&Method::POST, Some(Route::Renew(_))) => Self::Renew,
            (&Method::GET, Some(Route::Locations(..))) => Self::Locations,
            (&Method::GET, Some(Route::Bucket(_))) => Self::List,
            (
                &Method::GET,
                Some(Route::Stats | Route::Health | Route::Ready | Route::Metrics | Route::OpenApi),
            ) => Self::Admin,
            _ => Self::Unknown,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Lease => "lease",
            Self::Release => "release",
            Self::Renew => "renew",
            Self::Get => "get",
            Self::Head => "head",
            Self::Delete => "delete",
            Self::Locations => "locations",
            Self::List => "list",
            Self::Admin => "admin",
            Self::Unknown => "unknown",
        }
    }
}

/// What a request is counted under.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub(super) struct RequestLabels {
    operation: &'static str,
    outcome: &'static str,
}

impl RequestLabels {
    pub(super) fn new(operation: Operation, refusal: Option<ErrorCode>) -> Self {
        Self { operation: operation.name(), outcome: refusal.map_or("ok", outcome_name) }
    }
}

/// What the time of a request is counted under.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub(super) struct LatencyLabels {
    operation: &'static str,
}

impl From<Operation> for LatencyLabels {
    fn from(operation: Operation) -> Self {
        Self { operation: operation.name() }
    }
}

/// The code as it stands in error bodies.
fn outcome_name(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::Invalid => "invalid",
        ErrorCode::NoRoute => "no_route",
        ErrorCode::MethodNotAllowed => "method_not_allowed",
        ErrorCode::NotFound => "not_found",
        ErrorCode::Exists => "exists",
        ErrorCode::LengthRequired => "length_required",
        ErrorCode::TooLarge => "too_large",
        ErrorCode::BodyIncomplete => "body_incomplete",
        ErrorCode::StillWriting => "still_writing",
        ErrorCode::NoSpace => "no_space",
        ErrorCode::Unavailable => "unavailable",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_and_outcomes_are_numbered_as_the_counters_are() {
        for (number, operation) in OPERATIONS.into_iter().enumerate() {
            assert_eq!(operation as usize, number);
        }
        for (number, code) in ErrorCode::ALL.into_iter().enumerate() {
            assert_eq!(code as usize, number);
            assert_eq!(serde_json::to_value(code).unwrap(), outcome_name(code));
        }
    }
}
