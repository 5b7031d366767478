//! Objects without leases: read, look up, remove.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, header};
use kvlease_api::{CHECKSUM_HEADER, ErrorCode, LocationsReply, Names, OCTETS, ReportQuery};
use kvlease_engine::{READ_PIECE_MAX, Read, Removed};
use kvlease_types::{Caller, Checksum, Miss};
use tokio::time::Instant;

use super::{
    body::Body,
    connection::Socket,
    reply::{self, Answer, Refusal, Reply, SMALL_REPLY_LEN},
};
use crate::{connection_memory::Purpose, context::Context};

/// The most bytes of an object that wait to be sent: hyper takes a second piece before it has sent
/// the first.
pub(super) const PIECES_LEN_MAX: usize = 2 * READ_PIECE_MAX;

pub(super) async fn get(
    context: &Context,
    caller: &Caller,
    names: &Names,
    socket: &Socket,
) -> Answer {
    let mut read = match read_now(context, caller, names)? {
        Some(read) => read,
        None => Box::pin(load(context, caller, names)).await?,
    };
    let piece_max = socket.piece_max();
    read.limit_pieces(piece_max);
    let len = usize::try_from(read.left()).unwrap_or(usize::MAX);
    let held = if len > SMALL_REPLY_LEN {
        let len = len.min(2 * piece_max);
        // Boxed, so that the answer of a small object does not carry its size.
        Some(Arc::new(Box::pin(reply::memory(context, Purpose::Replies, len)).await?))
    } else {
        None
    };
    context.metrics.sent(read.left());
    let checksum = read.checksum();
    Ok(object(Body::Object(read, held), checksum))
}

/// Reads an object of the arena; `None` if only a tier may have it. Boxed, so that no answer carries
/// its size.
fn read_now(context: &Context, caller: &Caller, names: &Names) -> Result<Option<Box<Read>>, Miss> {
    let (bucket, key) = names.object();
    match context.engine.read(caller, bucket.as_str(), key.as_str()) {
        Err(miss) if miss.is_absence() && context.engine.has_tiers() => Ok(None),
        read => Ok(Some(Box::new(read?))),
    }
}

/// Reads an object that the arena does not have, if a tier has it.
async fn load(context: &Context, caller: &Caller, names: &Names) -> Result<Box<Read>, Miss> {
    let (bucket, key) = names.object();
    let until = Instant::now() + context.config.lease_wait_max;
    let read = context.engine.read_or_load(caller, bucket.as_str(), key.as_str(), until).await;
    read.map(Box::new)
}

pub(super) async fn head(context: &Context, caller: &Caller, names: &Names) -> Answer {
    let (bucket, key) = names.object();
    let (bucket, key) = (bucket.as_str(), key.as_str());
    let found = match context.engine.stat(bucket, key) {
        Some(info) => Some((info.len, info.checksum)),
        None => {
            let until = Instant::now() + context.config.lease_wait_max;
            let found = context.engine.stat_in_tiers(bucket, key, until).await;
            found.map(|(stat, _)| (stat.len, stat.checksum))
        }
    };
    context.engine.looked_up(caller, bucket, key, found.is_some());
    let (len, checksum) = found.ok_or_else(absent)?;
    Ok(object(Body::Full(None), checksum).with(header::CONTENT_LENGTH, len.bytes().into()))
}

pub(super) fn locations(context: &Context, names: &Names) -> Answer {
    let (bucket, key) = names.object();
    let info = context.engine.stat(bucket.as_str(), key.as_str()).ok_or_else(absent)?;
    let locations = info.extents.iter().map(|extent| (*extent).into()).collect();
    Ok(reply::json(&LocationsReply { locations }))
}

pub(super) async fn remove(context: &Context, caller: &Caller, names: &Names) -> Answer {
    let (bucket, key) = names.object();
    let keys = [key.as_str()];
    let removed = context.engine.remove_everywhere(caller, bucket.as_str(), &keys).await;
    for Removed { outcome, left_in } in removed {
        if !left_in.is_empty() {
            let text = format!(
                "removed from memory; a tier failed and may have it still: remove it again once \
                 the tier works, tiers=`{}`",
                left_in.join(",")
            );
            return Err(Refusal::new(ErrorCode::Unavailable, text));
        }
        outcome?;
    }
    Ok(reply::empty())
}

/// Nothing is removed here: the daemon looks at the object by itself, afterwards.
pub(super) fn report(
    context: &Context,
    caller: &Caller,
    names: &Names,
    query: Option<&str>,
) -> Answer {
    let query = ReportQuery::parse(query).map_err(Refusal::invalid)?;
    let (bucket, key) = names.object();
    let is_known = context.engine.report(caller, bucket.as_str(), key.as_str(), query.generation);
    // In such a bucket it is not told whether the object is in the arena.
    let is_told = context.answer_step(bucket.as_str()).is_none();
    if is_known || !is_told { Ok(reply::empty()) } else { Err(absent()) }
}

pub(super) fn object(body: Body, checksum: Checksum) -> Reply {
    const NAME: HeaderName = HeaderName::from_static(CHECKSUM_HEADER);
    let checksum = HeaderValue::try_from(checksum.to_string()).expect("hexadecimal digits");
    Reply::new(Some(OCTETS), body).with(NAME, checksum)
}

pub(super) fn absent() -> Refusal {
    Refusal::new(ErrorCode::NotFound, "no such object")
}
