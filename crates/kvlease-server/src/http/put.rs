//! Storing an object: from the socket into the arena.

use http::Request;
use hyper::body::{Bytes, Incoming};
use kvlease_api::{Names, StoredReply};
use kvlease_engine::Put;
use kvlease_types::Caller;

use super::{
    connection::Socket,
    reply::{self, Answer, Refusal},
    upload::Upload,
};
use crate::context::Context;

pub(super) async fn put(
    context: &Context,
    caller: &Caller,
    names: Names,
    request: &mut Request<Incoming>,
    socket: &Socket,
) -> Answer {
    let mut upload = Upload::new(context, request, socket);
    let answer = store(context, caller, names, &mut upload).await;
    upload.finish(answer).await
}

async fn store(
    context: &Context,
    caller: &Caller,
    names: Names,
    upload: &mut Upload<'_>,
) -> Answer {
    context.status.check()?;
    let len = upload.len()?;
    let (bucket, key) = names.into_object();
    let mut put = context.engine.put(caller, bucket, key, len)?;
    while let Some(bytes) = upload.next().await? {
        write(context, &mut put, &bytes)?;
    }
    let stored = put.seal()?;
    Ok(reply::json(&StoredReply { len: stored.len.bytes(), checksum: stored.checksum.to_string() }))
}

fn write(context: &Context, put: &mut Put, bytes: &Bytes) -> Result<(), Refusal> {
    context.metrics.received(bytes.len());
    Ok(put.write(bytes)?)
}
