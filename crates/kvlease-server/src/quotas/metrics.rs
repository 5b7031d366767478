//! Metrics of quotas, read at every scrape: of the tenants and buckets that have some, with whose they are and the
//! name as labels.

use std::{fmt, sync::Arc};

use kvlease_cache::QuotaUse;
use kvlease_types::{ByteSize, Quota, QuotaOf};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};

use super::{
    limits::{Counted, RequestQuotas},
    view::QuotaView,
};

/// A figure of who has a quota; `None` where the quota says nothing of it.
struct Reading {
    name: &'static str,
    help: &'static str,
    bytes: bool,
    total: bool,
    read: fn(&Figures) -> Option<u64>,
}

/// Figures of a tenant or a bucket with a quota.
pub(super) struct Figures {
    pub(super) of: QuotaOf,
    pub(super) name: String,
    pub(super) kept: Option<QuotaUse>,
    pub(super) counted: Option<Counted>,
}

impl Figures {
    pub(super) fn quota(&self) -> Quota {
        self.kept.map(|kept| kept.quota).unwrap_or_default()
    }

    /// Figure of what is kept, where the quota is about that.
    fn kept_if(&self, is_set: fn(&Quota) -> bool, read: fn(&QuotaUse) -> u64) -> Option<u64> {
        self.kept.as_ref().filter(|kept| is_set(&kept.quota)).map(read)
    }
}

#[rustfmt::skip]
const READINGS: &[Reading] = &[
    Reading { name: "quota_used", help: "Space of the objects that count for a quota", bytes: true, total: false, read: |f| f.kept_if(Quota::is_of_space, |kept| kept.bytes.bytes()) },
    Reading { name: "quota_max", help: "Most space that a quota allows", bytes: true, total: false, read: |f| f.quota().bytes_max.map(ByteSize::bytes) },
    Reading { name: "quota_guaranteed", help: "Space that others take nothing of", bytes: true, total: false, read: |f| f.quota().bytes_guaranteed.map(ByteSize::bytes) },
    Reading { name: "quota_objects", help: "Objects that count for a quota", bytes: false, total: false, read: |f| f.kept_if(Quota::is_of_space, |kept| kept.objects) },
    Reading { name: "quota_objects_max", help: "Most objects that a quota allows", bytes: false, total: false, read: |f| f.quota().objects_max },
    Reading { name: "quota_leases", help: "Live leases that count for a quota", bytes: false, total: false, read: |f| f.kept_if(|quota| quota.leases_max.is_some(), |kept| kept.leases) },
    Reading { name: "quota_leases_max", help: "Most live leases that a quota allows", bytes: false, total: false, read: |f| f.quota().leases_max },
    Reading { name: "quota_connections", help: "Connections that count for a quota", bytes: false, total: false, read: |f| f.counted.as_ref()?.connections.map(|(open, _)| open) },
    Reading { name: "quota_connections_max", help: "Most connections that a quota allows", bytes: false, total: false, read: |f| f.counted.as_ref()?.connections.map(|(_, most)| most) },
    Reading { name: "quota_requests_per_second_max", help: "Most requests in a second that a quota allows", bytes: false, total: false, read: |f| f.counted.as_ref()?.requests_per_s },
    Reading { name: "quota_refused_space", help: "Objects that were not stored for want of a quota of bytes", bytes: false, total: true, read: |f| f.kept_if(|quota| quota.bytes_max.is_some(), |kept| kept.refused.bytes) },
    Reading { name: "quota_refused_objects", help: "Objects that were not stored for want of a quota of objects", bytes: false, total: true, read: |f| f.kept_if(|quota| quota.objects_max.is_some(), |kept| kept.refused.objects) },
    Reading { name: "quota_refused_leases", help: "Leases that were not granted for want of a quota", bytes: false, total: true, read: |f| f.kept_if(|quota| quota.leases_max.is_some(), |kept| kept.refused.leases) },
    Reading { name: "quota_refused_requests", help: "Requests and frames that were refused for want of a quota", bytes: false, total: true, read: |f| f.counted.as_ref().filter(|counted| counted.requests_per_s.is_some()).map(|counted| counted.refused_requests) },
    Reading { name: "quota_refused_connections", help: "Connections, or requests on them, that were refused for want of a quota", bytes: false, total: true, read: |f| f.counted.as_ref().filter(|counted| counted.connections.is_some()).map(|counted| counted.refused_connections) },
];

/// Collector of the metrics of quotas.
pub(crate) struct QuotaMetrics {
    view: Arc<QuotaView>,
    requests: Arc<RequestQuotas>,
}

impl QuotaMetrics {
    pub(crate) const fn new(view: Arc<QuotaView>, requests: Arc<RequestQuotas>) -> Self {
        Self { view, requests }
    }
}

/// Figures of all tenants and buckets with a quota that a view has.
pub(super) fn figures(view: &QuotaView, requests: &RequestQuotas) -> Vec<Figures> {
    let mut figures = Vec::new();
    for uses in view.engines().iter().map(|engine| engine.quota_uses()) {
        let of_tenants = uses.tenants.into_iter().filter_map(|(tenant, kept)| {
            Some((QuotaOf::Tenant, view.tenant(tenant)?.to_owned(), kept))
        });
        let of_buckets = uses.buckets.into_iter();
        let of_buckets = of_buckets.map(|(name, kept)| (QuotaOf::Bucket, name.to_string(), kept));
        let kept = of_tenants.chain(of_buckets);
        figures.extend(kept.map(|(of, name, kept)| Figures {
            of,
            name,
            kept: Some(kept),
            counted: None,
        }));
    }
    let counted = requests.counted().into_iter();
    for counted in counted.filter(|counted| view.has(counted.of, &counted.name)) {
        let known = figures.iter_mut().find(|f| f.of == counted.of && f.name == counted.name);
        match known {
            Some(figures) => figures.counted = Some(counted),
            None => {
                let (of, name) = (counted.of, counted.name.clone());
                figures.push(Figures { of, name, kept: None, counted: Some(counted) });
            }
        }
    }
    figures
}

impl fmt::Debug for QuotaMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QuotaMetrics")
    }
}

impl Collector for QuotaMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let all = figures(&self.view, &self.requests);
        for Reading { name, help, bytes, total, read } in READINGS {
            let values: Vec<_> = all.iter().filter_map(|f| Some((f, read(f)?))).collect();
            if values.is_empty() {
                continue;
            }
            let unit = bytes.then_some(Unit::Bytes);
            let kind = if *total { MetricType::Counter } else { MetricType::Gauge };
            let mut family = encoder.encode_descriptor(name, help, unit.as_ref(), kind)?;
            for (figures, value) in values {
                let labels = [("of", figures.of.to_string()), ("name", figures.name.clone())];
                let metric = family.encode_family(&labels)?;
                match total {
                    true => ConstCounter::new(value).encode(metric)?,
                    false => ConstGauge::new(value).encode(metric)?,
                }
            }
        }
        Ok(())
    }
}
