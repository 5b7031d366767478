//! Levels from which on the audit log has a request that was not refused.

use kvlease_api::{Endpoint, lane::Kind};

use crate::config::AuditLevel;

/// Level of requests to an endpoint: the lowest for changes of what operators configure.
pub(crate) const fn level_of_endpoint(endpoint: Endpoint) -> AuditLevel {
    match endpoint {
        Endpoint::SetPolicy | Endpoint::RemovePolicy | Endpoint::ResetCheckpoints => {
            AuditLevel::Refused
        }
        Endpoint::Put
        | Endpoint::Remove
        | Endpoint::CreateNamespace
        | Endpoint::RemoveNamespace
        | Endpoint::PutShard
        | Endpoint::RemoveShard => AuditLevel::Changed,
        Endpoint::Get
        | Endpoint::Head
        | Endpoint::Acquire
        | Endpoint::Locations
        | Endpoint::Tiers
        | Endpoint::Report
        | Endpoint::Release
        | Endpoint::Renew
        | Endpoint::Events
        | Endpoint::List
        | Endpoint::Namespace
        | Endpoint::GetShard
        | Endpoint::LatestSteps
        | Endpoint::Buckets
        | Endpoint::Policy
        | Endpoint::Stats
        | Endpoint::History
        | Endpoint::StatusPage
        | Endpoint::Asset
        | Endpoint::Health
        | Endpoint::Ready
        | Endpoint::Metrics
        | Endpoint::OpenApi => AuditLevel::All,
    }
}

/// Level of frames of the fast lane.
pub(crate) const fn level_of_frame(kind: Kind) -> AuditLevel {
    match kind {
        Kind::Remove | Kind::Commit | Kind::Store => AuditLevel::Changed,
        Kind::Hello
        | Kind::Acquire
        | Kind::Release
        | Kind::Renew
        | Kind::Exists
        | Kind::Reserve
        | Kind::Abort
        | Kind::Index
        | Kind::Used
        | Kind::Prepare
        | Kind::Welcome
        | Kind::Leases
        | Kind::Done
        | Kind::Renewed
        | Kind::Reservations
        | Kind::Indexed
        | Kind::Error => AuditLevel::All,
    }
}
