//! Operations that requests are counted by: those of the table of endpoints.

use kvlease_api::{Endpoint, ErrorCode};
use prometheus_client::encoding::EncodeLabelSet;

/// The operation of a request; several endpoints may have the same.
pub(crate) fn operation(endpoint: Option<Endpoint>) -> &'static str {
    endpoint.map_or("unknown", Endpoint::operation)
}

/// Every endpoint, in the order of their places, and behind them what is none.
pub(super) fn endpoints() -> impl Iterator<Item = Option<Endpoint>> {
    Endpoint::ALL.iter().copied().map(Some).chain([None])
}

/// Place of an endpoint among [`endpoints`].
pub(super) fn place(endpoint: Option<Endpoint>) -> usize {
    endpoint.map_or(Endpoint::ALL.len(), Endpoint::index)
}

/// Labels of a count of requests.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub(super) struct RequestLabels {
    operation: &'static str,
    outcome: &'static str,
}

impl RequestLabels {
    pub(super) fn new(endpoint: Option<Endpoint>, refusal: Option<ErrorCode>) -> Self {
        let outcome = refusal.map_or("ok", ErrorCode::name);
        Self { operation: operation(endpoint), outcome }
    }
}

/// Labels of the time of requests.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub(super) struct LatencyLabels {
    operation: &'static str,
}

impl LatencyLabels {
    pub(super) fn new(endpoint: Option<Endpoint>) -> Self {
        Self { operation: operation(endpoint) }
    }
}
