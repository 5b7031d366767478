//! Opening of objects: a lease for each key of a batch, or a stream where nothing can be leased.

use std::sync::Arc;

use kvlease_shm::LentBuffer;
use kvlease_types::Key;

use super::{
    backend::Answers,
    context::ReadContext,
    lease::Lease,
    leased_read::read_head,
    object::{OpenObject, Source},
    streamed::{Next, Streamed},
};
use crate::Error;

/// What a key came to: an open object, or a miss.
pub(super) type Opened = Result<Option<OpenObject>, Error>;

/// Opens the objects that can be leased; `cached` are leases that were taken before. The answers end
/// with the first key that nothing can be leased for.
pub(super) async fn open_leased(
    context: &Arc<ReadContext>,
    keys: &[Key],
    mut cached: Vec<Option<Lease>>,
    head_len: usize,
) -> Answers<Option<OpenObject>> {
    cached.resize_with(keys.len(), || None);
    let wanted = keys.iter().zip(&cached).filter(|(_, cached)| cached.is_none());
    let wanted: Vec<&Key> = wanted.map(|(key, _)| key).collect();
    let mut leases = match wanted.is_empty() {
        true => Answers::new(),
        false => context.backends.acquire(&wanted).await,
    }
    .into_iter();
    let mut opened = Vec::with_capacity(keys.len());
    for (key, cached) in keys.iter().zip(cached) {
        let Some(lease) = cached.map(|lease| Ok(Some(lease))).or_else(|| leases.next()) else {
            break;
        };
        opened.push(open(context, key, lease, head_len));
    }
    // A lease that ended at once is taken once more.
    for (key, opened) in keys.iter().zip(&mut opened) {
        if matches!(opened, Err(Error::LeaseEnded { .. })) {
            context.terms.counters.leases_ended.one();
            *opened = open_again(context, key, head_len).await;
        }
    }
    opened
}

/// Opens an object over HTTP.
pub(super) async fn open_streamed(
    context: &Arc<ReadContext>,
    key: &Key,
    head_len: usize,
    next: Next,
) -> Opened {
    let reading = context.begin();
    context.terms.counters.http_reads.one();
    let streamed = Streamed::open(context, key, head_len, next).await?;
    Ok(streamed.map(|(len, head, streamed)| {
        let source = Source::Streamed(Box::new(streamed));
        OpenObject { reading, key: key.clone(), len, head, source }
    }))
}

/// Opens an object whose lease ended.
async fn open_again(context: &Arc<ReadContext>, key: &Key, head_len: usize) -> Opened {
    match context.backends.acquire(&[key]).await.pop() {
        Some(lease) => open(context, key, lease, head_len),
        None => open_streamed(context, key, head_len, Next::ReadNow).await,
    }
}

/// Reads the head of a leased object.
fn open(
    context: &Arc<ReadContext>,
    key: &Key,
    lease: Result<Option<Lease>, Error>,
    head_len: usize,
) -> Opened {
    let Some(lease) = lease? else { return Ok(None) };
    let reading = context.begin();
    let (head, digest) = read_head(key, &lease, head_len)?;
    let (key, len) = (key.clone(), lease.len());
    Ok(Some(OpenObject { reading, key, len, head, source: Source::Leased(lease, digest) }))
}

impl OpenObject {
    /// Like [`Self::read_rest_here`], on the threads for copies or over HTTP. The buffer is gone
    /// when the future is done; a future that is dropped leaves a copy that has begun to end by
    /// itself. If the lease ends meanwhile, the object is leased and read once more.
    ///
    /// # Errors
    ///
    /// Those of [`Self::read_rest_here`] and of any call.
    pub async fn read_rest(self, into: LentBuffer) -> Result<(), Error> {
        self.ensure_rest(into.len())?;
        let Self { reading, key, len, head, source } = self;
        match source.read(&reading, &key, &head, into).await {
            (Some(into), Err(Error::LeaseEnded { .. })) => {
                let context = &reading.context;
                let again = Box::pin(open_again(context, &key, head.len())).await?;
                // The head that was handed out decides which bytes may follow it.
                match again.filter(|again| again.len == len && again.head == head) {
                    Some(again) => Box::pin(again.source.read(&reading, &key, &head, into)).await.1,
                    None => Err(Error::LeaseEnded { key }),
                }
            }
            (_, read) => read,
        }
    }

    /// Reads the rest into nothing, to find out whether the object is whole and good: for objects
    /// whose head makes no sense. A corrupt one is removed, if the daemon can. Without a checksum
    /// from the daemon nothing is found out.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`]; those of [`Self::read_rest`].
    pub async fn verify(self) -> Result<(), Error> {
        self.read_rest(LentBuffer::of_vec(Vec::new()).0).await
    }
}
