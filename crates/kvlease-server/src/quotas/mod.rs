//! Quotas of requests and connections, which the daemon counts by itself. Those of space and leases are the
//! catalog's.

mod connections;
mod limits;
mod metrics;
mod rate;
mod reread;
mod state;
mod view;

pub(crate) use connections::ConnectionPlace;
pub(crate) use limits::{OverQuota, RequestQuotas};
pub(crate) use metrics::QuotaMetrics;
pub(crate) use reread::watch_quotas;
pub(crate) use state::states;
pub(crate) use view::QuotaView;
