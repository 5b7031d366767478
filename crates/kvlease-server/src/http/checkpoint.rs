//! Checkpoints of training jobs, as the client of `amzn-sagemaker-checkpointing` asks for them.
//!
//! That client repeats nothing: one refusal fails the save of a job. So requests wait where others are
//! refused, a drain refuses no shard, and a rewritten shard takes the place of the one before.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use hyper::body::Incoming;
use kvlease_api::{
    ErrorCode, LatestQuery, Names, NamespaceQuery, NamespaceReply, SHARD_META_HEADER, StoredReply,
};
use kvlease_engine::{
    CheckpointRefused, Checkpoints, NamespaceShape, SHARD_META_LEN_MAX, ShardPlace, ShardPut,
};
use kvlease_types::Caller;
use tokio::time::Instant;

use super::{
    body::Body,
    connection::Socket,
    kv::{self, PIECES_LEN_MAX},
    reply::{self, Answer, Refusal, SMALL_REPLY_LEN},
    upload::Upload,
};
use crate::{connection_memory::Purpose, context::Context};

/// How long a request waits for room in the arena, for a lease, and for the memory of its reply: twice
/// the default grace, and well within the 60 s that the client waits.
const ROOM_WAIT: Duration = Duration::from_secs(20);

const SHARD_META: HeaderName = HeaderName::from_static(SHARD_META_HEADER);

pub(super) async fn namespace(context: &Context, caller: &Caller, names: &Names) -> Answer {
    checkpoints(context).adopt(caller, names.namespace()).await;
    let shape = checkpoints(context).shape(names.namespace());
    let shape = shape.ok_or(CheckpointRefused::NoNamespace)?;
    let NamespaceShape { num_ranks, steps_retained } = shape;
    Ok(reply::json(&NamespaceReply { num_ranks, steps_to_retain_per_rank: steps_retained }))
}

pub(super) fn create(
    context: &Context,
    caller: &Caller,
    names: &Names,
    query: Option<&str>,
) -> Answer {
    let query = NamespaceQuery::parse(query).map_err(Refusal::invalid)?;
    let NamespaceQuery { num_ranks, steps_retained } = query;
    let shape = NamespaceShape { num_ranks, steps_retained };
    checkpoints(context).create(caller, names.namespace(), shape)?;
    Ok(reply::empty())
}

pub(super) async fn remove_namespace(context: &Context, caller: &Caller, names: &Names) -> Answer {
    checkpoints(context).remove_namespace(caller, names.namespace()).await?;
    Ok(reply::empty())
}

pub(super) async fn reset(context: &Context, caller: &Caller) -> Answer {
    checkpoints(context).reset(caller).await;
    Ok(reply::empty())
}

pub(super) async fn latest(
    context: &Context,
    caller: &Caller,
    names: &Names,
    query: Option<&str>,
) -> Answer {
    let query = LatestQuery::parse(query).map_err(Refusal::invalid)?;
    checkpoints(context).refresh(caller, names.namespace()).await;
    let steps = checkpoints(context).latest(names.namespace(), query.limit);
    Ok(reply::json(&steps.ok_or(CheckpointRefused::NoNamespace)?))
}

pub(super) async fn remove(context: &Context, caller: &Caller, names: &Names) -> Answer {
    checkpoints(context).remove(caller, names.namespace(), place(names)).await?;
    Ok(reply::empty())
}

/// Streams a shard. A `HEAD` is answered from here as well, and sends nothing of it.
pub(super) async fn get(
    context: &Context,
    caller: &Caller,
    names: &Names,
    method: &Method,
) -> Answer {
    let until = Instant::now() + ROOM_WAIT;
    let checkpoints = checkpoints(context);
    let (read, meta) = checkpoints.read(caller, names.namespace(), place(names), until).await?;
    let len = usize::try_from(read.left()).unwrap_or(usize::MAX);
    let held = match len > SMALL_REPLY_LEN {
        true => {
            let len = len.min(PIECES_LEN_MAX);
            let held = reply::memory_within(context, Purpose::Replies, len, ROOM_WAIT).await?;
            Some(Arc::new(held))
        }
        false => None,
    };
    if method != Method::HEAD {
        context.metrics.sent(read.left());
    }
    let checksum = read.checksum();
    let reply = kv::object(Body::Shard(Box::new(read), held), checksum);
    Ok(match meta {
        Some(meta) => {
            let meta = HeaderValue::from_str(&meta).expect("it came as the value of a header");
            reply.with(SHARD_META, meta)
        }
        None => reply,
    })
}

pub(super) async fn put(
    context: &Context,
    caller: &Caller,
    names: &Names,
    request: &mut Request<Incoming>,
    socket: &Socket,
) -> Answer {
    let meta = shard_meta(request.headers());
    let mut upload = Upload::new(context, request, socket);
    match begin(context, caller, names, meta, &upload).await {
        Ok(put) => {
            let answer = store(context, put, &mut upload).await;
            upload.finish(answer).await
        }
        Err(refusal) => upload.refuse_early(refusal).await,
    }
}

async fn begin(
    context: &Context,
    caller: &Caller,
    names: &Names,
    meta: Result<Option<Arc<str>>, Refusal>,
    upload: &Upload<'_>,
) -> Result<ShardPut, Refusal> {
    let meta = meta?;
    let len = upload.len()?.ok_or_else(|| {
        let message = "the length of a shard is needed before its bytes: send Content-Length";
        Refusal::new(ErrorCode::LengthRequired, message)
    })?;
    let until = Instant::now() + ROOM_WAIT;
    let (bucket, place) = (names.namespace(), place(names));
    Ok(checkpoints(context).put(caller, bucket, place, meta, len, until).await?)
}

async fn store(context: &Context, mut put: ShardPut, upload: &mut Upload<'_>) -> Answer {
    while let Some(bytes) = upload.next().await? {
        context.metrics.received(bytes.len());
        put.write(&bytes).await?;
    }
    let stored = put.seal().await?;
    Ok(reply::json(&StoredReply { len: stored.len.bytes(), checksum: stored.checksum.to_string() }))
}

/// The client's description of the bytes, if it sends one.
fn shard_meta(headers: &HeaderMap) -> Result<Option<Arc<str>>, Refusal> {
    let Some(value) = headers.get(SHARD_META) else { return Ok(None) };
    let text = value.to_str().ok().filter(|text| text.len() <= SHARD_META_LEN_MAX);
    let text = text.ok_or_else(|| {
        let message = format!(
            "the header {SHARD_META_HEADER} must be at most {SHARD_META_LEN_MAX} visible characters \
             of ASCII"
        );
        Refusal::invalid(message)
    })?;
    Ok(Some(text).filter(|text| !text.is_empty()).map(Arc::from))
}

fn place(names: &Names) -> ShardPlace {
    let (rank, step) = names.shard();
    ShardPlace { rank, step }
}

fn checkpoints(context: &Context) -> &Arc<Checkpoints> {
    context.engine.checkpoints()
}

impl From<CheckpointRefused> for Refusal {
    fn from(refused: CheckpointRefused) -> Self {
        use CheckpointRefused as Refused;
        let code = match refused {
            Refused::NoNamespace | Refused::NoShard => ErrorCode::NotFound,
            Refused::OtherShape(_) => ErrorCode::Exists,
            Refused::NoRoom { .. } | Refused::DiskFailed => ErrorCode::NoSpace,
            Refused::StoreFailed => ErrorCode::Unavailable,
            Refused::Write(refused) => ErrorCode::of_write(refused),
            Refused::Miss(miss) => ErrorCode::of_miss(miss),
        };
        Self::new(code, refused)
    }
}
