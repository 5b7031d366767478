//! Opening of objects: a lease for each key of a batch, or a stream where nothing can be leased.

use std::sync::Arc;

use kvlease_http::{Error, or_absent};
use kvlease_sys::ExternalBuffer;
use kvlease_types::Key;

use super::{
    backend::Answers,
    context::ReadContext,
    destination::Destination,
    lease::Lease,
    leased_read::{LeasedRead, read_head},
    object::{OpenObject, Source},
    streamed::{Next, Streamed},
};

/// Outcome for a key: an open object, or a miss.
pub(super) type Opened = Result<Option<OpenObject>, Error>;

/// Whether an object has to stay in place while it is open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Hold {
    /// It is leased.
    Leased,
    /// It may be found in the published index, if all of its call are. If it leaves before it was read,
    /// it is leased then.
    Unleased,
}

/// Opens and counts the objects that can be leased, or have a cached lease. The answers end with the
/// first key that nothing can be leased for. [`Error::StillWriting`] is not counted: the key may be
/// asked for again.
pub(super) async fn open_shared(
    context: &Arc<ReadContext>,
    keys: &[&Key],
    head_len: usize,
    hold: Hold,
) -> Answers<Option<OpenObject>> {
    let mut cached = context.cache.take_each(keys);
    if hold == Hold::Unleased && cached.is_empty() {
        cached = context.backends.find_indexed(keys);
    }
    // One call for all keys without a cached lease.
    let mut wanted = Vec::with_capacity(keys.len());
    let is_cached = |place: usize| cached.get(place).is_some_and(Option::is_some);
    wanted.extend(keys.iter().enumerate().filter(|(at, _)| !is_cached(*at)).map(|(_, key)| *key));
    let mut leases = match wanted.is_empty() {
        true => Answers::new(),
        false => context.backends.acquire(&wanted).await,
    }
    .into_iter();
    let mut opened = Vec::with_capacity(keys.len());
    let mut cached = cached.into_iter();
    for key in keys {
        let cached = cached.next().flatten().map(|lease| Ok(Some(lease)));
        let Some(lease) = cached.or_else(|| leases.next()) else { break };
        let mut object = open(context, key, lease, head_len);
        // A lease that ended at once is taken once more.
        if matches!(object, Err(Error::LeaseEnded { .. })) {
            context.terms.counters.leases_ended.one();
            object = Box::pin(open_again(context, key, head_len)).await;
        }
        count(context, &object);
        opened.push(object);
    }
    opened
}

/// Opens and counts an object over HTTP.
pub(super) async fn open_streamed(
    context: &Arc<ReadContext>,
    key: &Key,
    head_len: usize,
    next: Next,
) -> Opened {
    let opened = stream(context, key, head_len, next).await;
    count(context, &opened);
    opened
}

async fn stream(context: &Arc<ReadContext>, key: &Key, head_len: usize, next: Next) -> Opened {
    let reading = context.begin();
    context.terms.counters.http_reads.one();
    let streamed = Streamed::open(context, key, head_len, next).await?;
    Ok(streamed.map(|(len, head, streamed)| {
        let source = Source::Streamed(Box::new(streamed));
        OpenObject { reading, key: key.clone(), len, head, source }
    }))
}

/// The outcome for a key that is not asked for again; counts one that has not come as a miss.
pub(super) fn settle(context: &ReadContext, opened: Opened) -> Opened {
    if matches!(opened, Err(Error::StillWriting { .. })) {
        context.terms.counters.found(false);
    }
    or_absent(opened)
}

/// Counts a hit or a miss.
fn count(context: &ReadContext, opened: &Opened) {
    if let Ok(opened) = opened {
        context.terms.counters.found(opened.is_some());
    }
}

/// Opens an object whose lease ended.
async fn open_again(context: &Arc<ReadContext>, key: &Key, head_len: usize) -> Opened {
    match context.backends.acquire(&[key]).await.pop() {
        Some(lease) => open(context, key, or_absent(lease), head_len),
        None => stream(context, key, head_len, Next::ReadNow).await,
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
    lease.ensure_bounds(key)?;
    let reading = context.begin();
    let (head, digest) = read_head(key, &lease, head_len)?;
    let (key, len) = (key.clone(), lease.object_len());
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
    pub async fn read_rest(self, into: impl Into<Destination>) -> Result<(), Error> {
        let key = self.key.clone();
        if self.read_while_there(into.into()).await? {
            Ok(())
        } else {
            Err(Error::LeaseEnded { key })
        }
    }

    /// As [`Self::read_rest`]. Returns false if the object has left meanwhile.
    pub(super) async fn read_while_there(self, into: Destination) -> Result<bool, Error> {
        self.ensure_rest(into.len())?;
        let Self { reading, key, len, head, mut source } = self;
        let (context, wanted) = (&reading.context, head.len() + into.len());
        let (mut into, mut is_again) = (into, false);
        loop {
            let (back, read) = match source {
                Source::Leased(lease, digest) => {
                    let read = LeasedRead { key: &key, lease, from: head.len(), head: digest };
                    read.anywhere(&reading, into).await
                }
                // Reads of a batch are futures side by side: the rare way has a box of its own.
                Source::Streamed(stream) => Box::pin(stream.read(context, &key, &head, into)).await,
            };
            match (back, context.count(wanted, read)) {
                (Some(back), Err(Error::LeaseEnded { .. })) if !is_again => {
                    let again = Box::pin(open_again(context, &key, head.len())).await?;
                    // The head that was handed out decides which bytes may follow it.
                    let again = again.filter(|again| again.len == len && again.head == head);
                    let Some(again) = again else { return Ok(false) };
                    (source, into, is_again) = (again.source, back, true);
                }
                (_, read) => return read.map(|()| true),
            }
        }
    }

    /// Reads the rest into nothing, to find out whether the object is whole and good: for objects
    /// whose head makes no sense. A corrupt one is reported to the daemon. Without a checksum
    /// from the daemon nothing is found out.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`]; those of [`Self::read_rest`].
    pub async fn verify(self) -> Result<(), Error> {
        self.read_rest(ExternalBuffer::of_vec(Vec::new()).0).await
    }
}
