//! Metrics of listeners with TLS.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

/// Labels of a certificate.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Labels {
    listener: String,
}

/// Metrics of listeners with TLS.
#[derive(Default, Debug)]
pub(crate) struct TlsMetrics {
    expiry: Family<Labels, Gauge>,
    pub(crate) handshake_failures: Counter,
    pub(crate) reread_failures: Counter,
}

impl TlsMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let help = "End of the validity of the listener's certificate, in Unix time";
        let expiry = metrics.expiry.clone();
        registry.register_with_unit(
            "tls_certificate_expiry_timestamp",
            help,
            Unit::Seconds,
            expiry,
        );
        let help = "Connections to listeners with TLS that came to no handshake";
        registry.register("tls_handshake_failures", help, metrics.handshake_failures.clone());
        let help = "Times that changed certificates could not be used, and those of before stayed";
        registry.register("tls_reread_failures", help, metrics.reread_failures.clone());
        metrics
    }

    /// Tells when the listener's certificate ends, in seconds of Unix time.
    pub(crate) fn set_expiry(&self, listener: &str, expires: i64) {
        self.expiry.get_or_create(&Labels { listener: listener.to_owned() }).set(expires);
    }
}
