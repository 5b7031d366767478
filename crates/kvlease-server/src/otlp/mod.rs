//! Traces and metrics for an OpenTelemetry collector, over OTLP.
//!
//! A request that is traced makes one record at its end, and puts it into a bounded queue; a thread of its own
//! sends what is there. `docs/otlp.md` has what goes out.

#[cfg(feature = "otlp")]
mod batches;
#[cfg(feature = "otlp")]
mod client;
#[cfg(feature = "otlp")]
mod exporter;
#[cfg(feature = "otlp")]
mod headers;
#[cfg(feature = "otlp")]
mod metrics;
mod parent;
#[cfg(feature = "otlp")]
mod resource;
#[cfg(feature = "otlp")]
mod samples;
#[cfg(feature = "otlp")]
mod scrapes;
#[cfg(feature = "otlp")]
mod sending;
mod span;
#[cfg(feature = "otlp")]
mod spans;
mod start;
mod traces;
mod transfers;

#[cfg(feature = "otlp")]
pub(crate) use exporter::Exporter;
pub(crate) use span::{Attribute, Span, SpanKind, SpanRecord};
#[cfg(not(feature = "otlp"))]
pub(crate) use start::Exporter;
pub(crate) use start::{Prepared, prepare};
pub(crate) use traces::Traces;
