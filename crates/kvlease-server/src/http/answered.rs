//! A request over HTTP in the access log and in traces.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, Method, Request, Response, header::CONTENT_LENGTH};
use http_body::Body as _;
use hyper::body::Incoming;
use kvlease_api::{Endpoint, ErrorCode};
use kvlease_types::BucketName;

use super::{body::Body, gate::Admitted};
use crate::{
    access_log::RequestLine,
    context::Context,
    line_log::unix_ms,
    metrics,
    otlp::{Attribute, SpanKind, SpanRecord},
    request_ids::REQUEST_ID,
    request_scope,
};

/// How a request was answered.
pub(super) struct Answered {
    pub(super) endpoint: Option<Endpoint>,
    /// The refusal, if it is one.
    pub(super) outcome: Option<ErrorCode>,
    pub(super) took: Duration,
}

/// Notes a request with its answer in the access log and in its trace, where there are such.
pub(super) fn note(
    (context, admitted): (&Context, &Admitted),
    request: &Request<Incoming>,
    response: &Response<Body>,
    answered: &Answered,
) {
    let Answered { endpoint, outcome, took } = *answered;
    let operation = metrics::operation(endpoint);
    let request_id = || text_of(response.headers(), &REQUEST_ID).unwrap_or_default();
    let bucket = admitted.bucket.as_ref().map(BucketName::as_str);
    let status = response.status().as_u16();
    let received = || text_of(request.headers(), &CONTENT_LENGTH).and_then(|len| len.parse().ok());
    let sent = || response.body().size_hint().exact();
    if let Some(log) = &context.access_log {
        log.note(outcome.is_some_and(is_error), || RequestLine {
            at_unix_ms: unix_ms(),
            request_id: request_id(),
            via: admitted.caller.via(),
            peer: admitted.caller.to_string(),
            tenant: admitted.tenant(context),
            operation,
            method: request.method().as_str(),
            route: endpoint.map(Endpoint::path),
            bucket,
            outcome: outcome.map_or("ok", ErrorCode::name),
            status,
            received: received(),
            sent: sent(),
            took_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        });
    }
    let Some((traces, span)) = context.traces.as_ref().zip(request_scope::span()) else { return };
    let method = method(request.method());
    let mut attributes: Vec<(_, Attribute)> = vec![
        ("http.request.method", method.into()),
        ("http.response.status_code", u64::from(status).into()),
        ("kvlease.operation", operation.into()),
        ("kvlease.outcome", outcome.map_or("ok", ErrorCode::name).into()),
        ("kvlease.request_id", request_id().to_owned().into()),
    ];
    let error = outcome.filter(|code| is_error(*code));
    attributes.extend(error.map(|code| ("error.type", code.name().into())));
    attributes.extend(endpoint.map(|endpoint| ("http.route", endpoint.path().into())));
    attributes.extend(bucket.map(|bucket| ("kvlease.bucket", bucket.to_owned().into())));
    attributes.extend(
        admitted.tenant(context).map(|tenant| ("kvlease.tenant", tenant.to_owned().into())),
    );
    attributes.extend(received().map(|len: u64| ("http.request.body.size", len.into())));
    attributes.extend(sent().map(|len| ("http.response.body.size", len.into())));
    traces.record(SpanRecord {
        span,
        name: match endpoint {
            Some(endpoint) => format!("{method} {}", endpoint.path()),
            None => method.to_owned(),
        },
        kind: SpanKind::Server,
        ended: SystemTime::now(),
        took,
        attributes,
        failed: status >= 500,
    });
}

/// A method that HTTP knows; others may have anything for a name.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::PUT => "PUT",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        _ => "_OTHER",
    }
}

/// Whether an answer is more than a miss, which caches have all the time.
const fn is_error(code: ErrorCode) -> bool {
    !matches!(code, ErrorCode::NotFound | ErrorCode::Exists | ErrorCode::StillWriting)
}

fn text_of<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
