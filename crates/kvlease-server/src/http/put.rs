//! Storing an object: from the socket into the arena.

use http::{HeaderMap, Request};
use hyper::body::{Bytes, Incoming};
use kvlease_api::{BLOCKS_HEADER, BLOCKS_LEN_MAX, Names, StoredReply};
use kvlease_engine::Put;
use kvlease_types::Caller;

use super::{
    connection::Socket,
    reply::{self, Answer, Refusal},
    upload::Upload,
};
use crate::{context::Context, kv_events::ObjectBlocks};

pub(super) async fn put(
    context: &Context,
    caller: &Caller,
    names: Names,
    request: &mut Request<Incoming>,
    socket: &Socket,
) -> Answer {
    let blocks = blocks(context, request.headers());
    let mut upload = Upload::new(context, request, socket);
    let answer = store(context, caller, names, blocks, &mut upload).await;
    upload.finish(answer).await
}

async fn store(
    context: &Context,
    caller: &Caller,
    names: Names,
    blocks: Result<Option<ObjectBlocks>, Refusal>,
    upload: &mut Upload<'_>,
) -> Answer {
    context.status.check()?;
    let (len, blocks) = (upload.len()?, blocks?);
    let (bucket, key) = names.into_object();
    let mut put = context.engine.put(caller, bucket, key, len)?;
    // Before the object is visible, and its event can be published.
    let blocks = context.blocks.as_ref().zip(blocks);
    let blocks = blocks.and_then(|(table, blocks)| table.note(put.generation(), blocks));
    while let Some(bytes) = upload.next().await? {
        write(context, &mut put, &bytes)?;
    }
    let stored = put.seal()?;
    if let Some(blocks) = blocks {
        blocks.keep();
    }
    Ok(reply::json(&StoredReply { len: stored.len.bytes(), checksum: stored.checksum.to_string() }))
}

/// Blocks that the client tells, if KV events are published.
fn blocks(context: &Context, headers: &HeaderMap) -> Result<Option<ObjectBlocks>, Refusal> {
    let Some(told) = headers.get(BLOCKS_HEADER) else { return Ok(None) };
    if told.len() > BLOCKS_LEN_MAX {
        let len = told.len();
        return Err(Refusal::invalid(format!(
            "the header {BLOCKS_HEADER} must be at most {BLOCKS_LEN_MAX} bytes: tell fewer blocks in \
             one object, len=`{len}`"
        )));
    }
    let told = context.blocks.is_some().then_some(told);
    told.map(|told| ObjectBlocks::parse(told.as_bytes()).map_err(Refusal::invalid)).transpose()
}

fn write(context: &Context, put: &mut Put, bytes: &Bytes) -> Result<(), Refusal> {
    context.metrics.received(bytes.len());
    Ok(put.write(bytes)?)
}
