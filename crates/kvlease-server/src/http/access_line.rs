//! Line of a request in the access log.

use std::time::Duration;

use http::{HeaderMap, HeaderName, Request, Response, header::CONTENT_LENGTH};
use http_body::Body as _;
use hyper::body::Incoming;
use kvlease_api::{Endpoint, ErrorCode};
use kvlease_types::BucketName;

use super::{body::Body, gate::Admitted};
use crate::{
    access_log::{AccessLog, RequestLine},
    context::Context,
    line_log::unix_ms,
    metrics,
    request_ids::REQUEST_ID,
};

/// How a request was answered.
pub(super) struct Answered {
    pub(super) endpoint: Option<Endpoint>,
    /// The refusal, if it is one.
    pub(super) outcome: Option<ErrorCode>,
    pub(super) took: Duration,
}

/// Notes a request with its answer in the access log.
pub(super) fn note(
    (context, log, admitted): (&Context, &AccessLog, &Admitted),
    request: &Request<Incoming>,
    response: &Response<Body>,
    answered: &Answered,
) {
    let Answered { endpoint, outcome, took } = *answered;
    log.note(outcome.is_some_and(is_error), || RequestLine {
        at_unix_ms: unix_ms(),
        request_id: text_of(response.headers(), &REQUEST_ID).unwrap_or_default(),
        via: admitted.caller.via(),
        peer: admitted.caller.to_string(),
        tenant: admitted.tenant(context),
        operation: metrics::operation(endpoint),
        method: request.method().as_str(),
        route: endpoint.map(Endpoint::path),
        bucket: admitted.bucket.as_ref().map(BucketName::as_str),
        outcome: outcome.map_or("ok", ErrorCode::name),
        status: response.status().as_u16(),
        received: text_of(request.headers(), &CONTENT_LENGTH).and_then(|len| len.parse().ok()),
        sent: response.body().size_hint().exact(),
        took_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
    });
}

/// Whether an answer is more than a miss, which caches have all the time.
const fn is_error(code: ErrorCode) -> bool {
    !matches!(code, ErrorCode::NotFound | ErrorCode::Exists | ErrorCode::StillWriting)
}

fn text_of<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
