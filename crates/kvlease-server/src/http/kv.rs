//! Objects without leases: read, look up, list, remove.

use http::{HeaderValue, Response, header};
use kvlease_api::{
    CHECKSUM_HEADER, ErrorCode, ListQuery, ListReply, ListedObject, LocationsReply, Names, OCTETS,
};
use kvlease_cache::ListCursor;
use kvlease_types::{Caller, Checksum};

use super::{
    body::Body,
    reply::{self, Answer, Refusal},
};
use crate::context::Context;

pub(super) fn get(context: &Context, caller: &Caller, names: &Names) -> Answer {
    let (bucket, key) = names.object();
    let read = context.engine.read(caller, bucket.as_str(), key.as_str())?;
    context.metrics.sent(read.left());
    let checksum = read.checksum();
    Ok(object(Body::Object(Box::new(read)), checksum))
}

pub(super) fn head(context: &Context, names: &Names) -> Answer {
    let (bucket, key) = names.object();
    let info = context.engine.stat(bucket.as_str(), key.as_str()).ok_or_else(absent)?;
    let mut response = object(Body::Full(None), info.checksum);
    response.headers_mut().insert(header::CONTENT_LENGTH, info.len.bytes().into());
    Ok(response)
}

pub(super) fn locations(context: &Context, names: &Names) -> Answer {
    let (bucket, key) = names.object();
    let info = context.engine.stat(bucket.as_str(), key.as_str()).ok_or_else(absent)?;
    let locations = info.extents.iter().map(|extent| (*extent).into()).collect();
    Ok(reply::json(&LocationsReply { locations }))
}

pub(super) fn remove(context: &Context, caller: &Caller, names: &Names) -> Answer {
    let (bucket, key) = names.object();
    for outcome in context.engine.remove(caller, bucket.as_str(), &[key.as_str()]) {
        outcome?;
    }
    Ok(reply::empty())
}

pub(super) fn list(context: &Context, names: &Names, query: Option<&str>) -> Answer {
    let query = ListQuery::parse(query).map_err(Refusal::invalid)?;
    let cursor = ListCursor::new(query.cursor);
    let (objects, next) =
        context.engine.list(names.bucket().as_str(), &query.prefix, cursor, query.limit);
    let objects = objects.into_iter().map(|object| ListedObject {
        key: object.key.as_str().to_owned(),
        len: object.len.bytes(),
        checksum: object.checksum.to_string(),
        leases: object.leases.into(),
    });
    let next_cursor = next.map(ListCursor::number);
    Ok(reply::json(&ListReply { objects: objects.collect(), next_cursor }))
}

fn object(body: Body, checksum: Checksum) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(OCTETS));
    let checksum = HeaderValue::try_from(checksum.to_string()).expect("hexadecimal digits");
    headers.insert(CHECKSUM_HEADER, checksum);
    response
}

fn absent() -> Refusal {
    Refusal::new(ErrorCode::NotFound, "no such object")
}
