//! Tables of what endpoints and frames need. They match without a wildcard, so that a new endpoint or frame
//! does not compile until it has a row.

use kvlease_api::{Endpoint, lane::Kind};

/// Right on a bucket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Right {
    /// Read objects, and look them up.
    Read,
    /// Store objects.
    Write,
    /// Remove objects.
    Remove,
    /// List objects.
    List,
}

/// Leave that a request needs, where there are tenants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need {
    /// None: supervisors of the process show nothing.
    Nothing,
    /// That the caller is a tenant.
    Tenant,
    /// A right on the bucket.
    On(Right),
    /// The right to read the bucket, and leave to map the arena.
    Lease,
    /// Leave to map the arena: it may read all of it, or shares it knowingly.
    Mapping,
    /// The right to read every bucket.
    Everything,
    /// The right to store into some bucket.
    SomeBucket,
    /// That the tenant is an operator's.
    Admin,
}

impl Right {
    /// All rights.
    pub const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Remove, Self::List];

    /// The setting that gives it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Remove => "remove",
            Self::List => "list",
        }
    }
}

impl Need {
    /// Whether a request that needs it counts for quotas of requests: one about objects. What gives back, and
    /// what operators do, does not.
    pub(crate) const fn is_counted(self) -> bool {
        matches!(self, Self::On(_) | Self::Lease)
    }

    /// The right on the object that it names, if it is about one.
    pub(crate) const fn right(self) -> Option<Right> {
        match self {
            Self::On(right) => Some(right),
            Self::Lease => Some(Right::Read),
            _ => None,
        }
    }

    /// The words for it in documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Tenant => "a tenant",
            Self::On(right) => right.name(),
            Self::Lease => "`read`, and a mapping",
            Self::Mapping => "a mapping",
            Self::Everything => "`read = [\"*\"]`",
            Self::SomeBucket => "`write` of some bucket",
            Self::Admin => "admin",
        }
    }
}

/// Leave that requests to an endpoint need.
pub const fn need_of_endpoint(endpoint: Endpoint) -> Need {
    match endpoint {
        Endpoint::Health | Endpoint::Ready => Need::Nothing,
        // A lease is named by who was granted it, and by no other tenant.
        Endpoint::Release | Endpoint::Renew | Endpoint::OpenApi | Endpoint::Asset => Need::Tenant,
        Endpoint::Get
        | Endpoint::Head
        | Endpoint::Locations
        | Endpoint::Tiers
        | Endpoint::Report
        | Endpoint::Namespace
        | Endpoint::GetShard
        | Endpoint::LatestSteps => Need::On(Right::Read),
        Endpoint::Put | Endpoint::CreateNamespace | Endpoint::PutShard => Need::On(Right::Write),
        Endpoint::Remove | Endpoint::RemoveNamespace | Endpoint::RemoveShard => {
            Need::On(Right::Remove)
        }
        Endpoint::List => Need::On(Right::List),
        Endpoint::Acquire => Need::Lease,
        Endpoint::Events
        | Endpoint::ResetCheckpoints
        | Endpoint::Buckets
        | Endpoint::Policy
        | Endpoint::SetPolicy
        | Endpoint::RemovePolicy
        | Endpoint::Stats
        | Endpoint::History
        | Endpoint::StatusPage
        | Endpoint::Metrics => Need::Admin,
    }
}

/// Leave that frames of the fast lane need; `None` for the daemon's own. Leases and reservations belong to
/// their connection, so frames that name them need nothing more.
pub const fn need_of_frame(kind: Kind) -> Option<Need> {
    Some(match kind {
        Kind::Hello => Need::Mapping,
        Kind::Acquire => Need::Lease,
        Kind::Exists => Need::On(Right::Read),
        Kind::Remove => Need::On(Right::Remove),
        Kind::Reserve | Kind::Store => Need::On(Right::Write),
        Kind::Prepare => Need::SomeBucket,
        // They find objects of all buckets, and tell which there are.
        Kind::Index | Kind::Used => Need::Everything,
        Kind::Release | Kind::Renew | Kind::Commit | Kind::Abort => Need::Tenant,
        Kind::Welcome
        | Kind::Leases
        | Kind::Done
        | Kind::Renewed
        | Kind::Reservations
        | Kind::Indexed
        | Kind::Error => return None,
    })
}
