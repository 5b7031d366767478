//! A frame in the access log and in traces.

use std::time::{Duration, SystemTime};

use kvlease_api::lane::{FailureCode, Kind};
use kvlease_types::Caller;

use super::gate;
use crate::{
    access_log::FrameLine,
    context::Context,
    line_log::unix_ms,
    otlp::{Attribute, Span, SpanKind, SpanRecord},
};

/// How a frame was answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answered<'a> {
    pub(super) request: u64,
    pub(super) kind: Option<Kind>,
    /// The bucket that it names, if it names one.
    pub(super) bucket: Option<&'a str>,
    /// The refusal of the whole frame, if it is one.
    pub(super) refused: Option<FailureCode>,
    pub(super) took: Duration,
    /// Its span, if it is traced.
    pub(super) span: Option<Span>,
}

/// Notes a frame with its answer in the access log and in its trace, where there are such.
pub(super) fn note(context: &Context, caller: &Caller, answered: &Answered<'_>) {
    let Answered { request, kind, bucket, refused, took, span } = *answered;
    let connection = caller.owner.connection_number().unwrap_or_default();
    let tenant = || gate::tenant(context, caller).map(|tenant| tenant.name.as_str());
    let operation = || kind.map_or_else(|| "unknown".into(), |kind| kind.name().to_lowercase());
    let outcome = refused.map_or("ok", FailureCode::name);
    if let Some(log) = &context.access_log {
        log.note(refused.is_some(), || FrameLine {
            at_unix_ms: unix_ms(),
            connection,
            request,
            via: caller.via(),
            peer: caller.to_string(),
            tenant: tenant(),
            operation: operation(),
            bucket,
            outcome,
            took_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        });
    }
    let Some((traces, span)) = context.traces.as_ref().zip(span) else { return };
    let mut attributes: Vec<(_, Attribute)> = vec![
        ("kvlease.connection", u64::from(connection).into()),
        ("kvlease.request", request.into()),
        ("kvlease.operation", operation().into()),
        ("kvlease.outcome", outcome.into()),
    ];
    attributes.extend(refused.map(|code| ("error.type", code.name().into())));
    attributes.extend(bucket.map(|bucket| ("kvlease.bucket", bucket.to_owned().into())));
    attributes.extend(tenant().map(|tenant| ("kvlease.tenant", tenant.to_owned().into())));
    traces.record(SpanRecord {
        span,
        name: format!("lane {}", operation()),
        kind: SpanKind::Server,
        ended: SystemTime::now(),
        took,
        attributes,
        failed: false,
    });
}
