//! The guard of a lease: released when it goes, so that no path through a caller keeps it.

use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use http::StatusCode;
use kvlease_api::{LeaseReply, RenewReply, encode};
use kvlease_sys::OfProcess;
use kvlease_types::{ByteSize, Checksum, Extent, Key};
use tokio::{runtime::Handle, time::sleep};

use crate::{
    Error,
    core::Core,
    counters::add_one,
    operation::Operation,
    reply::{Call, parse_checksum},
    request::Request,
};

/// How long after a release in the background that failed it is tried once more: as long as a
/// daemon takes to be itself again that was busy or is restarted.
const RELEASE_AGAIN_AFTER: Duration = Duration::from_millis(250);

/// The right to read one object's extents until [`Self::deadline`].
///
/// Dropping it releases it in the background, as long as the runtime that granted it lives. It
/// does nothing in a forked child: the lease is the parent's.
#[derive(Debug)]
pub struct Lease {
    core: Arc<Core>,
    runtime: Handle,
    process: OfProcess<()>,
    key: Key,
    id: String,
    extents: Vec<Extent>,
    len: ByteSize,
    checksum: Option<Checksum>,
    generation: Option<u64>,
    deadline: Instant,
    released: bool,
}

impl Lease {
    /// Checks a reply and takes it over. `asked` is the moment before the request left, and `ttl`
    /// what it asked for. `None` for a reply without bytes, which is how other daemons may say that
    /// there is no object; one that sends a checksum means an object without bytes.
    pub(crate) fn new(
        call: &Call<'_>,
        reply: LeaseReply,
        asked: Instant,
        ttl: Duration,
    ) -> Result<Option<Self>, Error> {
        if reply.id.is_empty() {
            return Err(call.protocol("a lease without a name"));
        }
        if reply.epoch.is_some() {
            call.core.note_extensions();
        }
        // The guard comes first, so that a reply that is refused below is released as well.
        let Some(mut lease) = Self::unusable(call, reply.id, ttl) else { return Ok(None) };
        let granted = reply.ttl_s.map_or(Ok(ttl), Duration::try_from_secs_f64);
        lease.deadline = after(asked, granted.map_err(|error| call.protocol(error))?);
        lease.checksum = reply.checksum.map(|text| parse_checksum(&text, call)).transpose()?;
        lease.generation = reply.generation;
        lease.extents = reply.offsets.into_iter().map(Extent::from).collect();
        let len = lease.extents.iter().try_fold(0u64, |sum, run| sum.checked_add(run.len.bytes()));
        lease.len = ByteSize::new(len.ok_or_else(|| call.protocol("lengths beyond 64 bits"))?);
        Ok((lease.len != ByteSize::ZERO || lease.checksum.is_some()).then_some(lease))
    }

    /// The guard of a lease of which no more is known than its name, good for nothing but to be
    /// released.
    pub(crate) fn unusable(call: &Call<'_>, id: String, ttl: Duration) -> Option<Self> {
        let core = Arc::clone(call.core);
        add_one(&core.counting.leases_acquired);
        Some(Self {
            core,
            runtime: Handle::current(),
            process: OfProcess::new(()),
            key: call.key?.clone(),
            id,
            extents: Vec::new(),
            len: ByteSize::ZERO,
            checksum: None,
            generation: None,
            deadline: after(Instant::now(), ttl),
            released: false,
        })
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
    /// mapping: [`kvlease_attach::Attachment`] does that.
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

    /// The object's generation, if the daemon sends one.
    pub fn generation(&self) -> Option<u64> {
        self.generation
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
        let granted: RenewReply = match self.core.renew(&self.key, &self.id, ttl).await? {
            Some(granted) => granted,
            None => return Err(Error::LeaseEnded { key: self.key.clone() }),
        };
        let granted = Duration::try_from_secs_f64(granted.ttl_s).unwrap_or(Duration::ZERO);
        self.deadline = after(asked, granted);
        Ok(())
    }

    /// Ends the lease without waiting for the daemon's answer, if a connection is idle.
    pub fn release_unawaited(&mut self) -> bool {
        self.released = self.core.release_unawaited(&self.id);
        self.released
    }

    /// Ends the lease and waits for the daemon's answer.
    ///
    /// # Errors
    ///
    /// Those of any call. The lease is not tried again: it ends by its time to live.
    pub async fn release(mut self) -> Result<(), Error> {
        self.released = true;
        let outcome = self.core.release(&self.id).await;
        self.core.count_release(outcome.is_ok());
        outcome
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.released || self.process.get().is_none() {
            return;
        }
        let Ok(permit) = Arc::clone(&self.core.background).try_acquire_owned() else {
            return self.core.count_release(false);
        };
        let (core, id) = (Arc::clone(&self.core), mem::take(&mut self.id));
        let deadline = self.deadline;
        self.runtime.spawn(async move {
            // Best effort: a lease that stays ends by its time to live.
            let is_released = core.release_twice(&id, deadline).await;
            core.count_release(is_released);
            drop(permit);
        });
    }
}

impl Core {
    /// Sends a release whose answer is read later; `false` if no connection is idle.
    fn release_unawaited(&self, id: &str) -> bool {
        let mut head = self.release_request(id).head;
        // A token that cannot be read is told by the release that is awaited.
        let credentials = self.credentials.as_ref();
        let is_whole = credentials.is_none_or(|it| it.add_to(&mut head).is_ok());
        is_whole && self.pool.send_unawaited(&head, &self.counting)
    }

    fn release_request(&self, id: &str) -> Request {
        let path = format_args!("/v1/leases/{}/release", encode(id));
        self.template.of_path(Operation::Release, path)
    }

    async fn release(self: &Arc<Self>, id: &str) -> Result<(), Error> {
        let request = self.release_request(id);
        self.success(Operation::Release, request).await.map(drop)
    }

    /// `None` if the lease has ended.
    async fn renew(
        self: &Arc<Self>,
        key: &Key,
        id: &str,
        ttl: Duration,
    ) -> Result<Option<RenewReply>, Error> {
        let request = self.template.of_path(
            Operation::Renew,
            format_args!("/v1/leases/{}/renew?ttl_s={}", encode(id), ttl.as_secs_f64()),
        );
        let reply =
            self.call(self.about(Operation::Renew, key), self.call_limit(), request).await?;
        match reply.head.status {
            StatusCode::OK => reply.json().map(Some),
            _ if reply.is_absent() => Ok(None),
            _ => Err(reply.refused()),
        }
    }

    /// Releases a lease, and once more after a while if that fails and it has not ended by then.
    async fn release_twice(self: &Arc<Self>, id: &str, deadline: Instant) -> bool {
        if self.release(id).await.is_ok() {
            return true;
        }
        sleep(RELEASE_AGAIN_AFTER).await;
        Instant::now() < deadline && self.release(id).await.is_ok()
    }

    fn count_release(&self, is_released: bool) {
        self.counting.count_release(is_released);
    }
}

/// `moment + span`, or the moment itself when that is beyond what the clock can tell: a deadline
/// that the clock cannot tell has passed.
fn after(moment: Instant, span: Duration) -> Instant {
    moment.checked_add(span).unwrap_or(moment)
}
