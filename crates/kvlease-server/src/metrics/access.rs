//! Metrics of tenants, of the audit log and of the access log.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::OtlpCounters;

/// Reason why a request, a frame or a connection was refused to a caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum AccessRefused {
    /// It shows nothing by which a tenant is known.
    Unidentified,
    /// Its token is not known, or it shows two tenants.
    BadCredentials,
    /// Too many logins from its address failed.
    TooManyLogins,
    /// Its tenant may not do that.
    Forbidden,
    /// Its tenant may not know of the bucket, and was answered as if that had no object.
    Hidden,
}

impl AccessRefused {
    const ALL: [Self; 5] = [
        Self::Unidentified,
        Self::BadCredentials,
        Self::TooManyLogins,
        Self::Forbidden,
        Self::Hidden,
    ];

    /// The word for it in metrics and in the audit log.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Unidentified => "unidentified",
            Self::BadCredentials => "bad_credentials",
            Self::TooManyLogins => "too_many_logins",
            Self::Forbidden => "forbidden",
            Self::Hidden => "hidden",
        }
    }
}

/// Labels of a count of refusals.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct RefusalLabels {
    reason: &'static str,
}

/// Labels of a count of reloads.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct ReloadLabels {
    outcome: &'static str,
}

/// Metrics of tenants.
#[derive(Clone, Debug)]
pub(crate) struct AccessMetrics {
    /// In the order of [`AccessRefused::ALL`].
    refused: Vec<Counter>,
    tenants: Gauge,
    reloaded: Counter,
    reload_failed: Counter,
}

/// Counters of all logs of lines, and of what is sent over OTLP.
#[derive(Clone, Default, Debug)]
pub(crate) struct LogCounters {
    pub(crate) audit: LineCounters,
    pub(crate) access: LineCounters,
    pub(crate) otlp: OtlpCounters,
}

/// Counters of a log of lines.
#[derive(Clone, Default, Debug)]
pub(crate) struct LineCounters {
    pub(crate) lines: Counter,
    pub(crate) dropped: Counter,
}

impl AccessMetrics {
    pub(super) fn new(registry: &mut Registry, logs: LogCounters) -> Self {
        let refused = Family::<RefusalLabels, Counter>::default();
        let of_reason = |reason: AccessRefused| {
            refused.get_or_create(&RefusalLabels { reason: reason.name() }).clone()
        };
        let reloads = Family::<ReloadLabels, Counter>::default();
        let of_outcome = |outcome| reloads.get_or_create(&ReloadLabels { outcome }).clone();
        let metrics = Self {
            refused: AccessRefused::ALL.map(of_reason).into(),
            tenants: Gauge::default(),
            reloaded: of_outcome("ok"),
            reload_failed: of_outcome("failed"),
        };
        registry.register("tenants", "Tenants that are configured", metrics.tenants.clone());
        let help = "Requests, frames and connections that were refused to callers, by reason";
        registry.register("access_refused", help, refused);
        let help = "How often the files of tokens were read again, by outcome";
        registry.register("token_reloads", help, reloads);
        let help = "Lines of the audit log";
        registry.register("audit_lines", help, logs.audit.lines);
        let help = "Lines of the audit log that are missing";
        registry.register("audit_lines_dropped", help, logs.audit.dropped);
        let help = "Lines of the access log";
        registry.register("access_log_lines", help, logs.access.lines);
        let help = "Lines of the access log that are missing";
        registry.register("access_log_lines_dropped", help, logs.access.dropped);
        metrics
    }

    pub(crate) fn set_tenants(&self, count: usize) {
        self.tenants.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub(crate) fn refused(&self, reason: AccessRefused) {
        self.refused[reason as usize].inc();
    }

    pub(crate) fn tokens_reloaded(&self, is_ok: bool) {
        let counter = if is_ok { &self.reloaded } else { &self.reload_failed };
        counter.inc();
    }
}
