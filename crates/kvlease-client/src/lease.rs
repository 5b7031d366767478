//! The guard of a lease: released when it goes, so that no path through a caller keeps it.

use std::{
    process,
    sync::Arc,
    time::{Duration, Instant},
};

use kvlease_api::{LeaseReply, RenewReply};
use kvlease_types::{ByteSize, Checksum, Extent, Key};
use tokio::{runtime::Handle, sync::Semaphore};

use crate::{
    Client, Error,
    reply::{Call, parse_checksum},
};

/// How many dropped leases of one client are released at a time. The leases of a burst beyond
/// that end by their time to live.
pub(crate) const BACKGROUND_RELEASES_MAX: usize = 1024;

/// The right to read one object's extents until [`Self::deadline`].
///
/// Dropping it releases it in the background, as long as the runtime that granted it lives. It
/// does nothing in a forked child: the lease is the parent's.
#[derive(Debug)]
pub struct Lease {
    client: Client,
    runtime: Handle,
    background: Arc<Semaphore>,
    pid: u32,
    key: Key,
    id: String,
    extents: Vec<Extent>,
    len: ByteSize,
    checksum: Option<Checksum>,
    deadline: Instant,
    released: bool,
}

impl Lease {
    /// Checks a reply and takes it over. `asked` is the moment before the request left, and `ttl`
    /// what it asked for. `None` for a reply without bytes, which is how other daemons may say that
    /// there is no object; one that sends a checksum means an object without bytes.
    pub(crate) fn new(
        client: Client,
        background: Arc<Semaphore>,
        key: Key,
        reply: LeaseReply,
        asked: Instant,
        ttl: Duration,
        call: &Call,
    ) -> Result<Option<Self>, Error> {
        let granted = reply.ttl_s.map_or(Ok(ttl), Duration::try_from_secs_f64);
        let granted = granted.map_err(|error| call.protocol(error))?;
        let checksum = reply.checksum.map(|text| parse_checksum(&text, call)).transpose()?;
        // From here on the guard exists, so that a refused reply is released as well.
        let mut lease = Self {
            client,
            runtime: Handle::current(),
            background,
            pid: process::id(),
            key,
            id: reply.id,
            extents: reply.offsets.into_iter().map(Extent::from).collect(),
            len: ByteSize::ZERO,
            checksum,
            deadline: after(asked, granted),
            released: false,
        };
        let len = lease.extents.iter().try_fold(0u64, |sum, run| sum.checked_add(run.len.bytes()));
        lease.len = ByteSize::new(len.ok_or_else(|| call.protocol("lengths beyond 64 bits"))?);
        Ok((lease.len != ByteSize::ZERO || lease.checksum.is_some()).then_some(lease))
    }

    /// The object's key.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The name of the lease on the wire.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where the object's bytes are in the segment, in their order. Not checked against any
    /// mapping: [`kvlease_shm::Attachment`] does that.
    pub fn extents(&self) -> &[Extent] {
        &self.extents
    }

    /// The object's length.
    pub fn len(&self) -> ByteSize {
        self.len
    }

    /// Whether the object has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == ByteSize::ZERO
    }

    /// The object's checksum, if the daemon sends one.
    pub fn checksum(&self) -> Option<Checksum> {
        self.checksum
    }

    /// Until when the extents may be read, counted from before the request left.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether the extents may still be read.
    pub fn is_live(&self) -> bool {
        Instant::now() < self.deadline
    }

    /// Extends the lease so that it lasts `ttl` from now, or as much as the daemon grants.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseEnded`] if it has expired, which a renewal does not undo.
    pub async fn renew(&mut self, ttl: Duration) -> Result<(), Error> {
        let asked = Instant::now();
        let granted: RenewReply = match self.client.renew(&self.id, ttl).await? {
            Some(granted) => granted,
            None => return Err(Error::LeaseEnded { key: self.key.clone() }),
        };
        let granted = Duration::try_from_secs_f64(granted.ttl_s).unwrap_or(Duration::ZERO);
        self.deadline = after(asked, granted);
        Ok(())
    }

    /// Ends the lease and waits for the daemon's answer.
    ///
    /// # Errors
    ///
    /// Those of any call. The lease is not tried again: it ends by its time to live.
    pub async fn release(mut self) -> Result<(), Error> {
        self.released = true;
        self.client.release(&self.id).await
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.released || self.pid != process::id() {
            return;
        }
        let Ok(permit) = Arc::clone(&self.background).try_acquire_owned() else { return };
        let (client, id) = (self.client.clone(), std::mem::take(&mut self.id));
        self.runtime.spawn(async move {
            // Best effort: a lease that stays ends by its time to live.
            let _ = client.release(&id).await;
            drop(permit);
        });
    }
}

/// `moment + span`, or the moment itself when that is beyond what the clock can tell: a deadline
/// that cannot be told has passed.
fn after(moment: Instant, span: Duration) -> Instant {
    moment.checked_add(span).unwrap_or(moment)
}
