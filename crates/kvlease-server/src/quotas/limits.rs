//! Limits of requests and connections of all tenants and buckets.

use std::{
    collections::HashMap,
    fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Instant,
};

use kvlease_types::{QuotaOf, TenantId};

use super::{
    connections::{ConnectionPlace, TenantConnections},
    rate::Rate,
};
use crate::config::Config;

/// Key of a quota of requests.
const REQUESTS: &str = "requests_per_s";

/// Key of a quota of connections.
const CONNECTIONS: &str = "connections_max";

/// Limits of requests and connections.
#[derive(Debug)]
pub(crate) struct RequestQuotas {
    started: Instant,
    /// By the places of tenants.
    tenants: Vec<Limits>,
    /// Of the buckets that have some.
    buckets: HashMap<String, Limits>,
}

/// Limits of a tenant or a bucket.
#[derive(Debug)]
struct Limits {
    of: QuotaOf,
    name: String,
    requests: Option<Rate>,
    connections: Option<TenantConnections>,
    refused_requests: AtomicU64,
    refused_connections: AtomicU64,
}

/// Refusal of a request or a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct OverQuota {
    of: QuotaOf,
    name: String,
    key: &'static str,
    most: u64,
}

/// Counts of a tenant or a bucket with limits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Counted<'a> {
    pub(crate) of: QuotaOf,
    pub(crate) name: &'a str,
    pub(crate) requests_per_s: Option<u64>,
    /// Open connections and the most.
    pub(crate) connections: Option<(u64, u64)>,
    pub(crate) refused_requests: u64,
    pub(crate) refused_connections: u64,
}

impl RequestQuotas {
    /// The limits of the configuration; `None` if there are none.
    pub(crate) fn configured(config: &Config) -> Option<Self> {
        let tenants = config.tenants.iter().map(|(name, tenant)| {
            let connections = tenant.connections_max.map(TenantConnections::new);
            Limits::new(QuotaOf::Tenant, name, tenant.quota.requests_per_s, connections)
        });
        let buckets = config.bucket_quotas.iter().filter_map(|(bucket, quota)| {
            let requests = Some(quota.requests_per_s?);
            let limits = Limits::new(QuotaOf::Bucket, bucket.as_str(), requests, None);
            Some((bucket.as_str().to_owned(), limits))
        });
        let quotas = Self {
            started: Instant::now(),
            tenants: tenants.collect(),
            buckets: buckets.collect(),
        };
        let has_some = quotas.all().any(Limits::has_some);
        has_some.then_some(quotas)
    }

    /// Lets a number of requests about a bucket in.
    pub(crate) fn admit(
        &self,
        tenant: Option<TenantId>,
        bucket: Option<&str>,
        count: u64,
    ) -> Result<(), OverQuota> {
        let now = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let of_tenant = tenant.and_then(|tenant| self.tenants.get(tenant.place()));
        let of_bucket = bucket.and_then(|bucket| self.buckets.get(bucket));
        of_tenant.into_iter().chain(of_bucket).try_for_each(|limits| limits.admit(count, now))
    }

    /// A place for a connection of a tenant; `None` if its connections have no limit.
    pub(crate) fn connect(&self, tenant: TenantId) -> Result<Option<ConnectionPlace>, OverQuota> {
        let Some(limits) = self.tenants.get(tenant.place()) else { return Ok(None) };
        let Some(connections) = &limits.connections else { return Ok(None) };
        match connections.take(tenant) {
            Some(place) => Ok(Some(place)),
            None => {
                limits.refused_connections.fetch_add(1, Relaxed);
                Err(limits.over(CONNECTIONS, connections.most()))
            }
        }
    }

    /// Counts of tenants and buckets with limits.
    pub(crate) fn counted(&self) -> impl Iterator<Item = Counted<'_>> {
        self.all().filter(|limits| limits.has_some()).map(Limits::counted)
    }

    fn all(&self) -> impl Iterator<Item = &Limits> {
        self.tenants.iter().chain(self.buckets.values())
    }
}

impl Limits {
    fn new(
        of: QuotaOf,
        name: &str,
        requests_per_s: Option<u64>,
        connections: Option<TenantConnections>,
    ) -> Self {
        Self {
            of,
            name: name.to_owned(),
            requests: requests_per_s.map(Rate::new),
            connections,
            refused_requests: AtomicU64::new(0),
            refused_connections: AtomicU64::new(0),
        }
    }

    const fn has_some(&self) -> bool {
        self.requests.is_some() || self.connections.is_some()
    }

    fn admit(&self, count: u64, now: u64) -> Result<(), OverQuota> {
        match &self.requests {
            Some(rate) if !rate.admit(count, now) => {
                self.refused_requests.fetch_add(1, Relaxed);
                Err(self.over(REQUESTS, rate.per_s()))
            }
            _ => Ok(()),
        }
    }

    fn over(&self, key: &'static str, most: u64) -> OverQuota {
        OverQuota { of: self.of, name: self.name.clone(), key, most }
    }

    fn counted(&self) -> Counted<'_> {
        Counted {
            of: self.of,
            name: &self.name,
            requests_per_s: self.requests.as_ref().map(Rate::per_s),
            connections: self.connections.as_ref().map(|open| (open.taken(), open.most())),
            refused_requests: self.refused_requests.load(Relaxed),
            refused_connections: self.refused_connections.load(Relaxed),
        }
    }
}

impl OverQuota {
    /// Whether it is the connection that is one too many.
    pub(crate) fn is_of_connections(&self) -> bool {
        self.key == CONNECTIONS
    }
}

impl fmt::Display for OverQuota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { of, name, key, most } = self;
        let remedy = match *key {
            CONNECTIONS => "has as many connections as its quota allows: close some, or raise",
            _ => "asks for more than its quota allows: ask more slowly, or raise",
        };
        write!(f, "the {of} {remedy} {key} of it, {of}=`{name}` {key}=`{most}`")
    }
}

#[cfg(test)]
mod tests {
    use kvlease_types::{BucketName, Quota};

    use super::*;
    use crate::config::TenantConfig;

    #[test]
    fn a_refusal_names_who_and_the_number_and_counts() {
        let mut config = Config::default();
        assert!(RequestQuotas::configured(&config).is_none());
        let quota = Quota { requests_per_s: Some(2), ..Quota::default() };
        config.bucket_quotas.insert(BucketName::new("b").unwrap(), quota);
        let tenant = TenantConfig { connections_max: Some(1), ..TenantConfig::default() };
        config.tenants.insert("t".to_owned(), tenant);
        let quotas = RequestQuotas::configured(&config).unwrap();
        let tenant = TenantId::at(0).unwrap();
        assert_eq!(quotas.admit(Some(tenant), Some("other"), 1000), Ok(()));
        assert_eq!(quotas.admit(None, Some("b"), 2), Ok(()));
        let line = quotas.admit(Some(tenant), Some("b"), 1).unwrap_err().to_string();
        assert!(line.ends_with("bucket=`b` requests_per_s=`2`"), "{line}");
        let place = quotas.connect(tenant).unwrap().unwrap();
        let line = quotas.connect(tenant).unwrap_err().to_string();
        assert!(line.ends_with("tenant=`t` connections_max=`1`"), "{line}");
        let counted: Vec<_> = quotas.counted().collect();
        assert_eq!(counted.len(), 2);
        assert_eq!((counted[0].connections, counted[0].refused_connections), (Some((1, 1)), 1));
        assert_eq!((counted[1].requests_per_s, counted[1].refused_requests), (Some(2), 1));
        drop(place);
        assert!(quotas.connect(tenant).is_ok());
    }
}
