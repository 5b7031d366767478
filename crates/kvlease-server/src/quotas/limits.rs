//! Limits of requests and connections of all tenants and buckets.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
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

/// Limits of requests and connections, which change while the daemon runs.
#[derive(Debug)]
pub(crate) struct RequestQuotas {
    started: Instant,
    /// By the places of tenants.
    tenants: Vec<Limits>,
    /// Of the buckets that have some, or had.
    buckets: RwLock<HashMap<String, Arc<Limits>>>,
    /// Whether there are any limits.
    has_some: AtomicBool,
}

/// Limits of a tenant or a bucket.
#[derive(Debug)]
struct Limits {
    of: QuotaOf,
    name: String,
    requests: Rate,
    connections: TenantConnections,
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
pub(crate) struct Counted {
    pub(crate) of: QuotaOf,
    pub(crate) name: String,
    pub(crate) requests_per_s: Option<u64>,
    /// Open connections and the most.
    pub(crate) connections: Option<(u64, u64)>,
    pub(crate) refused_requests: u64,
    pub(crate) refused_connections: u64,
}

impl RequestQuotas {
    /// The limits of the configuration.
    pub(crate) fn configured(config: &Config) -> Self {
        let tenants = config.tenants.keys().map(|name| Limits::new(QuotaOf::Tenant, name));
        let quotas = Self {
            started: Instant::now(),
            tenants: tenants.collect(),
            buckets: RwLock::default(),
            has_some: AtomicBool::new(false),
        };
        quotas.change(config);
        quotas
    }

    /// Changes the limits to those of a configuration, which has the same tenants.
    pub(crate) fn change(&self, config: &Config) {
        for (limits, tenant) in self.tenants.iter().zip(config.tenants.values()) {
            limits.requests.set(tenant.quota.requests_per_s);
            limits.connections.set(tenant.connections_max);
        }
        let mut buckets = self.buckets.write().unwrap_or_else(PoisonError::into_inner);
        buckets.values().for_each(|limits| limits.requests.set(None));
        for (bucket, quota) in &config.bucket_quotas {
            let Some(per_s) = quota.requests_per_s else { continue };
            let limits = buckets.entry(bucket.as_str().to_owned());
            let new = || Arc::new(Limits::new(QuotaOf::Bucket, bucket.as_str()));
            limits.or_insert_with(new).requests.set(Some(per_s));
        }
        let mut all = self.tenants.iter().chain(buckets.values().map(Arc::as_ref));
        self.has_some.store(all.any(Limits::has_some), Relaxed);
    }

    /// Whether there are any limits.
    pub(crate) fn has_some(&self) -> bool {
        self.has_some.load(Relaxed)
    }

    /// Lets a number of requests about a bucket in.
    pub(crate) fn admit(
        &self,
        tenant: Option<TenantId>,
        bucket: Option<&str>,
        count: u64,
    ) -> Result<(), OverQuota> {
        if !self.has_some() {
            return Ok(());
        }
        let now = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let of_tenant = tenant.and_then(|tenant| self.tenants.get(tenant.place()));
        of_tenant.map_or(Ok(()), |limits| limits.admit(count, now))?;
        let buckets = self.buckets.read().unwrap_or_else(PoisonError::into_inner);
        let of_bucket = bucket.and_then(|bucket| buckets.get(bucket));
        of_bucket.map_or(Ok(()), |limits| limits.admit(count, now))
    }

    /// A place for a connection of a tenant. It is counted whether there is a limit or not, which may come later.
    pub(crate) fn connect(&self, tenant: TenantId) -> Result<Option<ConnectionPlace>, OverQuota> {
        let Some(limits) = self.tenants.get(tenant.place()) else { return Ok(None) };
        match limits.connections.take(tenant) {
            Ok(place) => Ok(Some(place)),
            Err(most) => {
                limits.refused_connections.fetch_add(1, Relaxed);
                Err(limits.over(CONNECTIONS, most))
            }
        }
    }

    /// Counts of tenants and buckets with limits.
    pub(crate) fn counted(&self) -> Vec<Counted> {
        let buckets = self.buckets.read().unwrap_or_else(PoisonError::into_inner);
        let all = self.tenants.iter().chain(buckets.values().map(Arc::as_ref));
        all.filter(|limits| limits.has_some()).map(Limits::counted).collect()
    }
}

impl Limits {
    fn new(of: QuotaOf, name: &str) -> Self {
        Self {
            of,
            name: name.to_owned(),
            requests: Rate::new(None),
            connections: TenantConnections::new(None),
            refused_requests: AtomicU64::new(0),
            refused_connections: AtomicU64::new(0),
        }
    }

    fn has_some(&self) -> bool {
        self.requests.per_s().is_some() || self.connections.most().is_some()
    }

    fn admit(&self, count: u64, now: u64) -> Result<(), OverQuota> {
        self.requests.admit(count, now).map_err(|per_s| {
            self.refused_requests.fetch_add(1, Relaxed);
            self.over(REQUESTS, per_s)
        })
    }

    fn over(&self, key: &'static str, most: u64) -> OverQuota {
        OverQuota { of: self.of, name: self.name.clone(), key, most }
    }

    fn counted(&self) -> Counted {
        let open = self.connections.taken();
        Counted {
            of: self.of,
            name: self.name.clone(),
            requests_per_s: self.requests.per_s(),
            connections: self.connections.most().map(|most| (open, most)),
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
        assert!(!RequestQuotas::configured(&config).has_some());
        let quota = Quota { requests_per_s: Some(2), ..Quota::default() };
        config.bucket_quotas.insert(BucketName::new("b").unwrap(), quota);
        let tenant = TenantConfig { connections_max: Some(1), ..TenantConfig::default() };
        config.tenants.insert("t".to_owned(), tenant);
        let quotas = RequestQuotas::configured(&config);
        assert!(quotas.has_some());
        let tenant = TenantId::at(0).unwrap();
        assert_eq!(quotas.admit(Some(tenant), Some("other"), 1000), Ok(()));
        assert_eq!(quotas.admit(None, Some("b"), 2), Ok(()));
        let line = quotas.admit(Some(tenant), Some("b"), 1).unwrap_err().to_string();
        assert!(line.ends_with("bucket=`b` requests_per_s=`2`"), "{line}");
        let place = quotas.connect(tenant).unwrap().unwrap();
        let line = quotas.connect(tenant).unwrap_err().to_string();
        assert!(line.ends_with("tenant=`t` connections_max=`1`"), "{line}");
        let counted = quotas.counted();
        assert_eq!(counted.len(), 2);
        assert_eq!((counted[0].connections, counted[0].refused_connections), (Some((1, 1)), 1));
        assert_eq!((counted[1].requests_per_s, counted[1].refused_requests), (Some(2), 1));
        drop(place);
        assert!(quotas.connect(tenant).is_ok());
    }

    #[test]
    fn limits_change_and_counts_go_on() {
        let mut config = Config::default();
        config.tenants.insert("t".to_owned(), TenantConfig::default());
        let quotas = RequestQuotas::configured(&config);
        let tenant = TenantId::at(0).unwrap();
        let _open = quotas.connect(tenant).unwrap();
        assert!(quotas.counted().is_empty());
        let mut limited = config.clone();
        limited.tenants.get_mut("t").unwrap().connections_max = Some(1);
        let quota = Quota { requests_per_s: Some(1), ..Quota::default() };
        limited.bucket_quotas.insert(BucketName::new("b").unwrap(), quota);
        quotas.change(&limited);
        assert!(quotas.connect(tenant).is_err(), "the one that was open counts");
        assert_eq!(quotas.admit(None, Some("b"), 1), Ok(()));
        assert!(quotas.admit(None, Some("b"), 1).is_err());
        quotas.change(&config);
        assert!(!quotas.has_some() && quotas.counted().is_empty());
        assert_eq!(quotas.admit(None, Some("b"), 100), Ok(()));
        quotas.change(&limited);
        let refused: Vec<_> =
            quotas.counted().iter().map(|c| c.refused_requests + c.refused_connections).collect();
        assert_eq!(refused, [1, 1], "counters never fall");
    }
}
