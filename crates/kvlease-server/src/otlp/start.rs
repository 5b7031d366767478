//! Preparation of the exporter, in builds with it and without.

use std::sync::Arc;

use kvlease_engine::TransferObserver;

#[cfg(feature = "otlp")]
use super::exporter::{Exporter, Parts};
use super::{Traces, transfers::Transfers};
use crate::{
    config::Config,
    exit::ServeError,
    metrics::{Metrics, OtlpCounters},
};

/// Parts of an exporter that never is.
#[cfg(not(feature = "otlp"))]
type Parts = std::convert::Infallible;

/// Exporter that is ready to start.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// Traces, if they are sent.
    pub(crate) traces: Option<Arc<Traces>>,
    pub(crate) counters: OtlpCounters,
    pub(super) parts: Parts,
}

impl Prepared {
    /// Observer of the transfers between the arena and its tiers, if they are traced.
    pub(crate) fn observer(&self) -> Option<Arc<dyn TransferObserver>> {
        let traces = Arc::clone(self.traces.as_ref()?);
        Some(Arc::new(Transfers(traces)))
    }

    /// Starts to send.
    #[cfg(feature = "otlp")]
    pub(crate) fn start(self, metrics: &Arc<Metrics>) -> Result<Exporter, ServeError> {
        Exporter::start(self.parts, self.counters, metrics)
    }

    /// Starts what never is.
    #[cfg(not(feature = "otlp"))]
    pub(crate) fn start(self, _: &Arc<Metrics>) -> Result<Exporter, ServeError> {
        match self.parts {}
    }
}

/// Prepares the exporter, if something is to be sent. Nothing of the daemon has to be there.
#[cfg(feature = "otlp")]
pub(crate) fn prepare(config: &Config) -> Result<Option<Prepared>, ServeError> {
    let Some(endpoint) = &config.otlp.endpoint else { return Ok(None) };
    let (queue, parts) = Parts::new(config, endpoint)?;
    let counters = OtlpCounters::default();
    let traces = queue.map(|queue| Traces::new(config.otlp.sample_ratio, queue, counters.clone()));
    Ok(Some(Prepared { traces: traces.map(Arc::new), counters, parts }))
}

/// The same in a build that sends nothing.
#[cfg(not(feature = "otlp"))]
pub(crate) fn prepare(config: &Config) -> Result<Option<Prepared>, ServeError> {
    match &config.otlp.endpoint {
        None => Ok(None),
        Some(endpoint) => Err(ServeError::NoOtlp(endpoint.clone())),
    }
}

/// Exporter that never is.
#[cfg(not(feature = "otlp"))]
#[derive(Debug)]
pub(crate) struct Exporter(Parts);

#[cfg(not(feature = "otlp"))]
impl Exporter {
    pub(crate) async fn end(self) {
        match self.0 {}
    }
}

#[cfg(all(test, not(feature = "otlp")))]
mod tests {
    use crate::config::{ServeArgs, load};

    #[test]
    fn an_endpoint_is_an_error_that_names_the_key_and_the_remedy() {
        let set = vec!["otlp.endpoint=http://127.0.0.1:4318".to_owned()];
        let config = load(&ServeArgs { set, ..ServeArgs::default() }, []).unwrap();
        let refused = super::prepare(&config).unwrap_err().to_string();
        let parts = ["--features otlp", "released binary", "otlp.endpoint=`http://127.0.0.1:4318`"];
        for part in parts {
            assert!(refused.contains(part), "{part} is not in: {refused}");
        }
    }
}
