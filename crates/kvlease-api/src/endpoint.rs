//! The endpoints of the daemon: the one table of methods, paths and operations.
//!
//! Paths are parsed by it ([`Route`](crate::Route)), requests are dispatched and counted by it, and
//! the OpenAPI document is made from it. Other code that depends on an endpoint matches on the
//! enum, so that a new one does not compile until it is known there.

use crate::segments::Segments;

/// Makes the enum and its tables.
macro_rules! endpoints {
    ($($(#[$doc:meta])* $variant:ident $method:literal $path:literal $operation:literal,)*) => {
        /// An endpoint: a method on a path.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Endpoint {
            $($(#[$doc])* $variant,)*
        }

        impl Endpoint {
            /// All endpoints, in the order of their places.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The HTTP method.
            pub const fn method(self) -> &'static str {
                match self {
                    $(Self::$variant => $method,)*
                }
            }

            /// The template of the path: names in braces stand for one segment each.
            pub const fn path(self) -> &'static str {
                match self {
                    $(Self::$variant => $path,)*
                }
            }

            /// Segments of the templates.
            const TEMPLATES: &'static [Segments<'static>] = &[$(Segments::of_template($path),)*];

            /// The operation that requests are counted by.
            pub const fn operation(self) -> &'static str {
                match self {
                    $(Self::$variant => $operation,)*
                }
            }
        }
    };
}

endpoints! {
    /// Streams an object.
    Get "GET" "/v1/kv/{bucket}/{key}" "get",
    /// Looks an object up.
    Head "HEAD" "/v1/kv/{bucket}/{key}" "head",
    /// Stores an object.
    Put "PUT" "/v1/kv/{bucket}/{key}" "put",
    /// Removes an object.
    Remove "DELETE" "/v1/kv/{bucket}/{key}" "remove",
    /// Grants a lease.
    Acquire "POST" "/v1/kv/{bucket}/{key}/leases" "acquire",
    /// Reports an object's extents.
    Locations "GET" "/v1/kv/{bucket}/{key}/locations" "locations",
    /// Reports every place of an object.
    Tiers "GET" "/v1/kv/{bucket}/{key}/tiers" "tiers",
    /// Takes a report that an object is corrupt.
    Report "POST" "/v1/kv/{bucket}/{key}/reports" "report",
    /// Ends a lease.
    Release "POST" "/v1/leases/{id}/release" "release",
    /// Extends a lease.
    Renew "POST" "/v1/leases/{id}/renew" "renew",
    /// Streams what is published and unpublished.
    Events "GET" "/v1/events" "events",
    /// Lists a bucket.
    List "GET" "/v1/kv/{bucket}" "list",
    /// Describes a namespace of checkpoints.
    Namespace "GET" "/v1/cp/namespaces/{namespace}" "checkpoint",
    /// Makes a namespace of checkpoints.
    CreateNamespace "POST" "/v1/cp/namespaces/{namespace}" "checkpoint",
    /// Removes a namespace of checkpoints.
    RemoveNamespace "DELETE" "/v1/cp/namespaces/{namespace}" "checkpoint",
    /// Streams a shard.
    GetShard "GET" "/v1/cp/checkpoints/{namespace}/{rank}/{step}" "get_shard",
    /// Stores a shard.
    PutShard "POST" "/v1/cp/checkpoints/{namespace}/{rank}/{step}" "put_shard",
    /// Removes a shard.
    RemoveShard "DELETE" "/v1/cp/checkpoints/{namespace}/{rank}/{step}" "checkpoint",
    /// Lists the newest whole steps of a namespace.
    LatestSteps "GET" "/v1/cp/checkpoints/{namespace}/latest" "checkpoint",
    /// Removes all namespaces of checkpoints.
    ResetCheckpoints "POST" "/v1/cp/cluster/reset" "checkpoint",
    /// Shows the buckets that have a policy.
    Buckets "GET" "/v1/buckets" "admin",
    /// Shows the policy of a bucket.
    Policy "GET" "/v1/buckets/{bucket}/policy" "admin",
    /// Gives a bucket a policy.
    SetPolicy "PUT" "/v1/buckets/{bucket}/policy" "admin",
    /// Takes the policy of a bucket away.
    RemovePolicy "DELETE" "/v1/buckets/{bucket}/policy" "admin",
    /// Reports the state of the daemon.
    Stats "GET" "/v1/stats" "admin",
    /// Reports how the state of the daemon changed.
    History "GET" "/v1/history" "admin",
    /// Shows the state of the daemon to people.
    StatusPage "GET" "/" "admin",
    /// Serves a file that the status page uses.
    Asset "GET" "/assets/{asset}" "admin",
    /// Reports that the process serves.
    Health "GET" "/healthz" "admin",
    /// Reports whether the daemon takes work.
    Ready "GET" "/readyz" "admin",
    /// Reports the metrics.
    Metrics "GET" "/metrics" "admin",
    /// Serves the OpenAPI document.
    OpenApi "GET" "/openapi.json" "admin",
}

impl Endpoint {
    /// Whether requests of operators and supervisors come here.
    pub fn is_admin(self) -> bool {
        self.operation() == "admin"
    }

    /// Place in [`Endpoint::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The first endpoint whose path has the shape of these segments.
    pub(crate) fn of_path(segments: &Segments<'_>) -> Option<Self> {
        let mut templates = Self::ALL.iter().zip(Self::TEMPLATES);
        let fitting = templates.find(|(_, template)| has_shape(template, segments));
        fitting.map(|(endpoint, _)| *endpoint)
    }

    /// Segments of the template of the path.
    pub(crate) fn template(self) -> &'static [&'static str] {
        Self::TEMPLATES[self.index()].as_slice()
    }

    /// The endpoint of a method on a path template.
    pub(crate) fn of(method: &str, path: &str) -> Option<Self> {
        // Methods first: few endpoints have the same, and they are short. Nearly all templates are
        // those of this table, and need not be compared by their bytes.
        let is_path = |template: &str| std::ptr::eq(template, path) || template == path;
        let same = |endpoint: &Self| endpoint.method() == method && is_path(endpoint.path());
        Self::ALL.iter().copied().find(same)
    }
}

/// The name that a segment of a template stands for; `None` if it stands for itself.
pub(crate) fn placeholder(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

fn has_shape(template: &Segments<'_>, found: &Segments<'_>) -> bool {
    let (template, found) = (template.as_slice(), found.as_slice());
    let fits = |(wanted, raw): (&&str, &&str)| placeholder(wanted).is_some() || wanted == raw;
    // From the end, since all templates begin with the same segments.
    template.len() == found.len() && template.iter().zip(found).rev().all(fits)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_endpoint_has_its_place_and_is_found_by_its_method_and_path() {
        for (index, endpoint) in Endpoint::ALL.iter().enumerate() {
            assert_eq!(endpoint.index(), index);
            assert_eq!(Endpoint::of(endpoint.method(), endpoint.path()), Some(*endpoint));
            let first = Endpoint::of_path(&Segments::of_template(endpoint.path())).unwrap();
            assert_eq!(first.path(), endpoint.path(), "no other path has its shape");
        }
        let pairs: BTreeSet<_> = Endpoint::ALL.iter().map(|e| (e.method(), e.path())).collect();
        assert_eq!(pairs.len(), Endpoint::ALL.len());
    }
}
