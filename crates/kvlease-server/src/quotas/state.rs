//! Quotas as statistics show them.

use kvlease_api::QuotaState;

use super::metrics::{Figures, figures};
use crate::context::Context;

/// Quotas of tenants and buckets, and what counts for each.
pub(crate) fn states(context: &Context) -> Vec<QuotaState> {
    let all = figures(&context.quota_view, &context.quotas);
    all.iter().map(state).collect()
}

fn state(figures: &Figures) -> QuotaState {
    let Figures { of, name, kept, counted } = figures;
    let quota = figures.quota();
    let connections = counted.as_ref().and_then(|counted| counted.connections);
    let refused = kept.map(|kept| kept.refused).unwrap_or_default();
    let asked = counted.as_ref().map_or(0, |c| c.refused_requests + c.refused_connections);
    QuotaState {
        of: of.to_string(),
        name: name.clone(),
        used: kept.map_or(0, |kept| kept.bytes.bytes()),
        bytes_max: quota.bytes_max.map(|size| size.bytes()),
        bytes_guaranteed: quota.bytes_guaranteed.map(|size| size.bytes()),
        objects: kept.map_or(0, |kept| kept.objects),
        objects_max: quota.objects_max,
        leases: kept.map_or(0, |kept| kept.leases),
        leases_max: quota.leases_max,
        connections: connections.map_or(0, |(open, _)| open),
        connections_max: connections.map(|(_, most)| most),
        requests_per_s: quota.requests_per_s,
        refusals: refused.bytes + refused.objects + refused.leases + asked,
    }
}
