//! Spans as they go out.

use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    resource::v1::Resource,
    trace::v1::{
        ResourceSpans, ScopeSpans, Span, SpanFlags, Status, span::SpanKind as Kind,
        status::StatusCode,
    },
};
use prost::Message;

use super::{
    SpanKind, SpanRecord,
    resource::{attribute, scope, unix_nanos},
};

/// The message with these spans.
pub(super) fn message(resource: &Resource, records: &[SpanRecord]) -> Vec<u8> {
    let spans = records.iter().cloned().map(span).collect();
    let scope_spans = vec![ScopeSpans { scope: Some(scope()), spans, ..ScopeSpans::default() }];
    let resource = Some(resource.clone());
    let spans = ResourceSpans { resource, scope_spans, ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![spans] }.encode_to_vec()
}

/// How many spans a collector did not take, by its answer.
pub(super) fn rejected(answer: &[u8]) -> u64 {
    let answer = ExportTraceServiceResponse::decode(answer).unwrap_or_default();
    let rejected = answer.partial_success.map_or(0, |partial| partial.rejected_spans);
    u64::try_from(rejected).unwrap_or(0)
}

fn span(record: SpanRecord) -> Span {
    let SpanRecord { span, name, kind, ended, took, attributes, failed } = record;
    let end = unix_nanos(ended);
    let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
    let parent = if span.parent == 0 { Vec::new() } else { span.parent.to_be_bytes().to_vec() };
    let is_remote = if span.is_joined { SpanFlags::ContextIsRemoteMask as u32 } else { 0 };
    let kind = match kind {
        SpanKind::Server => Kind::Server,
        SpanKind::Client => Kind::Client,
    };
    let code = if failed { StatusCode::Error } else { StatusCode::Unset };
    let attributes = attributes.into_iter().map(|(name, value)| attribute(name, value));
    Span {
        trace_id: span.trace.to_be_bytes().to_vec(),
        span_id: span.id.to_be_bytes().to_vec(),
        parent_span_id: parent,
        // Sampled, and whether it is known that the parent is of another process: it is.
        flags: 1 | SpanFlags::ContextHasIsRemoteMask as u32 | is_remote,
        name,
        kind: kind.into(),
        start_time_unix_nano: end.saturating_sub(took),
        end_time_unix_nano: end,
        attributes: attributes.collect(),
        status: Some(Status { code: code.into(), ..Status::default() }),
        ..Span::default()
    }
}
