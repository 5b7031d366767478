//! The connector: many objects at a time, within limits, on top of the client's single calls.
//!
//! * Of a batch, as many calls are under way together as
//!   [`requests_max`](crate::ClientConfig::requests_max) allows; the answers come in the order of
//!   the keys.
//! * Reads copy from shared memory under a lease, on this connector's own threads if they are
//!   large; without shared memory they go over HTTP.
//! * Nothing is kept without a bound: not leases for later, not open streams, not copies.
//!
//! Only three calls are needed of a daemon: put, lease, release. What else ours can do is used once
//! it was seen to be ours.

mod config;
mod copier;
mod counters;
mod fast;
mod grant;
mod held;
mod inner;
mod leased;
mod lookup;
#[cfg(test)]
mod models;
mod negotiation;
mod notice;
mod object;
mod put;
mod releases;
mod segment;
mod streamed;
mod view;
mod window;

pub use config::{ConnectorConfig, SocketChoice};
pub use counters::ConnectorStats;
pub use held::HELD_LEASES_MAX;
pub use notice::{Notice, Severity};
pub use object::OpenObject;
pub use view::View;

use std::{
    sync::{self, Arc, atomic::Ordering},
    thread,
    time::Duration,
};

use kvlease_sys::ExternalBuffer;
use kvlease_types::{ByteSize, Key};
use tokio::{runtime::Handle, sync::Notify};

use self::{inner::Inner, streamed::Next, window::each};
use crate::{Error, Lease, ListedObject, PutBody, PutOutcome};

/// How many objects a listing has at most: what a reply of some hundred megabytes holds.
pub const LISTED_OBJECTS_MAX: usize = 1_000_000;

/// How many objects of a batch are leased at a time to be read: what one frame asks for, and no
/// more than are read in a moment.
const FAST_WINDOW: usize = 128;

/// How many leases that were used are released at a time.
const RELEASE_TASKS_MAX: usize = 8;

/// How often a closing connector looks for the answers to its last releases.
const SETTLE_POLL: Duration = Duration::from_millis(1);

/// Stores, finds and reads objects, each call for one or for many. Clones share everything.
///
/// Batches answer for each key on its own and in the order of the keys.
#[derive(Clone, Debug)]
pub struct Connector {
    inner: Arc<Inner>,
}

impl Connector {
    /// A connector that has not connected yet, nor attached to the segment.
    ///
    /// # Errors
    ///
    /// None so far: a daemon or a segment that is missing is found out by the calls.
    pub fn new(config: ConnectorConfig) -> Result<Self, Error> {
        Ok(Self { inner: Arc::new(Inner::new(config)) })
    }

    /// The settings that the connector was made with.
    pub fn config(&self) -> &ConnectorConfig {
        &self.inner.config
    }

    /// What the connector has done so far.
    pub fn stats(&self) -> ConnectorStats {
        let Inner { counters, client, negotiation, held, .. } = &*self.inner;
        counters.snapshot(&client.counters(), negotiation.leases(), held.len())
    }

    /// Stores an object, unless the key has one.
    ///
    /// # Errors
    ///
    /// Those of [`Client::put`](crate::Client::put); [`Error::Closed`].
    pub async fn put(&self, key: &Key, body: impl Into<PutBody>) -> Result<PutOutcome, Error> {
        self.inner.enter()?;
        let body = body.into();
        if let Some(parts) = body.in_memory()
            && let Some(lane) = self.inner.put_lane().await
            && let Some(put) = self.inner.put_fast(&lane, &[(key, parts)]).await.pop()
        {
            return self.inner.counters.put(put, body.len());
        }
        self.put_over_http(key, body).await
    }

    async fn put_over_http(&self, key: &Key, body: PutBody) -> Result<PutOutcome, Error> {
        let len = body.len();
        let put = self.inner.client.put(key, body).await;
        self.inner.counters.put(put, len)
    }

    /// Stores many objects.
    pub async fn batched_put(
        &self,
        objects: Vec<(Key, PutBody)>,
    ) -> Vec<Result<PutOutcome, Error>> {
        let mut answers = Vec::with_capacity(objects.len());
        if self.inner.enter().is_ok()
            && let Some(lane) = self.inner.put_lane().await
        {
            let parts = |(key, body)| Some((key, PutBody::in_memory(body)?));
            let in_memory: Vec<_> =
                objects.iter().map(|(key, body)| (key, body)).map_while(parts).collect();
            let puts = self.inner.put_fast(&lane, &in_memory).await;
            let puts = puts.into_iter().zip(&objects);
            answers.extend(puts.map(|(put, (_, body))| self.inner.counters.put(put, body.len())));
        }
        let rest = objects.into_iter().skip(answers.len());
        answers.extend(
            each(rest, self.window(), async |(key, body)| self.put(&key, body).await).await,
        );
        answers
    }

    /// Reads an object. `None` on a miss.
    ///
    /// # Errors
    ///
    /// Those of [`OpenObject::read_rest`]; [`Error::Closed`].
    pub async fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, Error> {
        self.read_whole(self.open_to_read(key).await).await
    }

    /// Reads what was found into memory of its own.
    async fn read_whole(
        &self,
        opened: Result<Option<OpenObject>, Error>,
    ) -> Result<Option<Vec<u8>>, Error> {
        let Some(object) = opened? else { return Ok(None) };
        // The length was checked against the segment, or is that of a stream of this length.
        let (buffer, lent) = ExternalBuffer::of_vec(vec![0; object.len().bytes() as usize]);
        object.read_rest(buffer).await?;
        Ok(Some(lent.take_back().expect("a read that is over has given its buffer up")))
    }

    /// Reads many objects.
    pub async fn batched_get(&self, keys: &[Key]) -> Vec<Result<Option<Vec<u8>>, Error>> {
        let mut answers = Vec::with_capacity(keys.len());
        while let Some(window) = window_of(&keys[answers.len()..])
            && let Some(opened) = self.open_fast(window).await
        {
            answers.extend(each(opened, self.window(), |opened| self.read_whole(opened)).await);
        }
        let rest = &keys[answers.len()..];
        answers.extend(each(rest, self.window(), |key| self.get(key)).await);
        answers
    }

    /// Reads an object into a buffer of exactly its length. `false` on a miss.
    ///
    /// # Errors
    ///
    /// [`Error::TooShort`] if the buffer has another length; those of [`Self::get`].
    pub async fn get_into(&self, key: &Key, into: ExternalBuffer) -> Result<bool, Error> {
        self.read_whole_into(self.open_to_read(key).await, into).await
    }

    /// Reads what was found into a buffer of exactly its length.
    async fn read_whole_into(
        &self,
        opened: Result<Option<OpenObject>, Error>,
        into: ExternalBuffer,
    ) -> Result<bool, Error> {
        let Some(object) = opened? else { return Ok(false) };
        let buffer = ByteSize::new(into.len() as u64);
        if object.len() != buffer {
            let (key, object) = (object.key().clone(), object.len());
            return Err(Error::TooShort { key, object, buffer });
        }
        object.read_rest(into).await?;
        Ok(true)
    }

    /// Reads many objects, each into its buffer.
    pub async fn batched_get_into(
        &self,
        objects: Vec<(Key, ExternalBuffer)>,
    ) -> Vec<Result<bool, Error>> {
        let (keys, buffers): (Vec<_>, Vec<_>) = objects.into_iter().unzip();
        let mut buffers = buffers.into_iter();
        let mut answers = Vec::with_capacity(keys.len());
        while let Some(window) = window_of(&keys[answers.len()..])
            && let Some(opened) = self.open_fast(window).await
        {
            let reads = opened.into_iter().zip(buffers.by_ref());
            let read = async |(opened, into)| self.read_whole_into(opened, into).await;
            answers.extend(each(reads, self.window(), read).await);
        }
        let rest = keys[answers.len()..].iter().zip(buffers);
        let get = async |(key, into)| self.get_into(key, into).await;
        answers.extend(each(rest, self.window(), get).await);
        answers
    }

    /// Finds an object and reads its first `head_len` bytes, or all if it has fewer. `None` on a
    /// miss, and for an object that is larger than
    /// [`lease_len_max`](ConnectorConfig::lease_len_max).
    ///
    /// # Errors
    ///
    /// [`Error::OutsideSegment`] and [`Error::LeaseEnded`]; those of any call; [`Error::Closed`].
    pub async fn open(&self, key: &Key, head_len: usize) -> Result<Option<OpenObject>, Error> {
        self.inner.enter()?;
        self.inner.open(key, head_len, Next::ReadLater).await
    }

    /// Finds many objects.
    pub async fn batched_open(
        &self,
        keys: &[Key],
        head_len: usize,
    ) -> Vec<Result<Option<OpenObject>, Error>> {
        if self.inner.enter().is_ok()
            && let Some(opened) = self.inner.open_fast(keys, head_len).await
        {
            return opened;
        }
        each(keys, self.window(), |key| self.open(key, head_len)).await
    }

    /// Removes many objects; `false` for what was not there, and for a daemon that removes none.
    pub async fn batched_remove(&self, keys: &[Key]) -> Vec<Result<bool, Error>> {
        if self.inner.enter().is_ok() {
            // A lease that is held for a read would keep the bytes, and the reader believing in
            // them.
            keys.iter().for_each(|key| drop(self.inner.held.take(key)));
            if let Some(removed) = self.inner.remove_fast(keys).await {
                return removed.into_iter().map(Ok).collect();
            }
        }
        each(keys, self.window(), |key| self.remove(key)).await
    }

    async fn remove(&self, key: &Key) -> Result<bool, Error> {
        self.inner.enter()?;
        // A lease that is held for a read would keep the bytes, and the reader believing in them.
        drop(self.inner.held.take(key));
        match self.inner.client.remove(key).await {
            Err(error) if is_unknown_call(&error) => Ok(false),
            removed => removed,
        }
    }

    /// The objects of the bucket whose keys start with `prefix`, [`LISTED_OBJECTS_MAX`] at most.
    /// None from a daemon that keeps no listing.
    ///
    /// # Errors
    ///
    /// Those of any call; [`Error::Closed`].
    pub async fn list(&self, prefix: &str) -> Result<Vec<ListedObject>, Error> {
        self.inner.enter()?;
        let (mut objects, mut cursor) = (Vec::new(), 0);
        loop {
            let page = match self.inner.client.list(prefix, cursor).await {
                Err(error) if is_unknown_call(&error) => return Ok(objects),
                page => page?,
            };
            let room = LISTED_OBJECTS_MAX - objects.len();
            objects.extend(page.objects.into_iter().take(room));
            match page.next_cursor {
                Some(next) if next > cursor && objects.len() < LISTED_OBJECTS_MAX => cursor = next,
                _ => return Ok(objects),
            }
        }
    }

    /// Whether the daemon answers at all.
    ///
    /// # Errors
    ///
    /// Those of any call; a refusal is an answer, as is that there is no such path.
    pub async fn ping(&self) -> Result<(), Error> {
        self.inner.enter()?;
        self.inner.client.ping().await
    }

    /// Ends what the connector holds at the daemon, and waits for it, at most as long as a call may
    /// take; then closes its connections and unmaps the segment. Calls that are under way go on;
    /// later ones fail.
    pub async fn close(&self) {
        self.inner.closed.store(true, Ordering::Relaxed);
        drop(self.inner.held.take_all());
        // Best effort: what is not released in time ends by its time to live.
        let released = async {
            self.inner.releases.drained().await;
            while self.inner.client.releases_owed() > 0 {
                tokio::time::sleep(SETTLE_POLL).await;
            }
        };
        let _ = tokio::time::timeout(self.inner.close_limit(), released).await;
        self.inner.negotiation.close();
        self.inner.client.let_go();
    }

    /// Whether calls go over the daemon's fast lane at this moment.
    pub fn is_fast(&self) -> bool {
        self.inner.negotiation.open_lane().is_some()
    }

    /// What a person should hear of, once: which way to the daemon is taken from now on, and
    /// what to do if it is the slower one. The oldest that was not taken; `None` if there is none.
    ///
    /// The same is an event of `tracing`; this is for programs that log otherwise.
    pub fn take_notice(&self) -> Option<Notice> {
        self.inner.segment.take_notice().or_else(|| self.inner.negotiation.take_notice())
    }

    /// Fails in a forked child, which has none of the threads that do the work.
    pub(crate) fn demand_own_process(&self) -> Result<(), Error> {
        self.inner.demand_own_process()
    }

    async fn open_to_read(&self, key: &Key) -> Result<Option<OpenObject>, Error> {
        self.inner.enter()?;
        self.inner.open(key, 0, Next::ReadNow).await
    }

    /// Finds objects over the fast lane whose reads follow at once.
    async fn open_fast(&self, keys: &[Key]) -> Option<Vec<Result<Option<OpenObject>, Error>>> {
        self.inner.enter().ok()?;
        self.inner.open_fast(keys, 0).await
    }

    fn window(&self) -> usize {
        self.inner.config.client.requests_max
    }
}

/// The first keys, as many as are leased at a time.
fn window_of(keys: &[Key]) -> Option<&[Key]> {
    (!keys.is_empty()).then(|| &keys[..keys.len().min(FAST_WINDOW)])
}

/// Whether a daemon refused since it does not know the call: it is another one than ours.
fn is_unknown_call(error: &Error) -> bool {
    matches!(error, Error::Refused { status: 404 | 405 | 501, code: None, .. })
}
