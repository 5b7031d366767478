//! Count of open connections.

use prometheus_client::metrics::gauge::Gauge;

/// An open connection.
pub(crate) struct Connection(Gauge);

impl Connection {
    pub(super) fn count(open: &Gauge) -> Self {
        open.inc();
        Self(open.clone())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.dec();
    }
}
