//! The calls of the protocol, one method each.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::StatusCode;
use kvlease_api::{LeaseReply, StatsReply};
use kvlease_sys::Digest;
use kvlease_types::{ByteSize, Checksum, Epoch, Key};
use serde::Deserialize;

use crate::{
    Announcement, BreakerState, ClientConfig, Counters, Error, Lease, ObjectStream, PutBody,
    call::{Limit, Opened},
    core::Core,
    operation::Operation,
    or_absent,
    reply::{Call, checksum_header},
};

/// A client of one daemon. Clones share its connections and its mapping of the segment.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) core: Arc<Core>,
}

/// Outcome of a put.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PutOutcome {
    /// The object is stored and visible.
    Stored,
    /// The key has an object already, or one that is being written. Nothing was changed.
    Exists,
}

/// Properties of an object, known without reading it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ObjectInfo {
    /// Its length.
    pub len: ByteSize,
    /// Its checksum, if the daemon sends one.
    pub checksum: Option<Checksum>,
}

/// The least of a lease reply, to release a lease that cannot be used.
#[derive(Deserialize)]
struct NamedLease {
    id: String,
}

impl Client {
    /// A client that has not connected yet.
    pub fn new(config: ClientConfig) -> Self {
        Self { core: Arc::new(Core::new(config)) }
    }

    /// The settings that the client was made with.
    pub fn config(&self) -> &ClientConfig {
        &self.core.config
    }

    /// Stores an object, unless the key has one.
    ///
    /// # Errors
    ///
    /// [`Error::Source`] if a source of bytes fails. Then, and after every other error but a
    /// time-out or a broken connection, nothing was stored.
    pub async fn put(&self, key: &Key, body: impl Into<PutBody>) -> Result<PutOutcome, Error> {
        let core = &self.core;
        let request = core.template.put(key, body.into());
        let limit = Limit::new(core.config.timeouts.transfer);
        let reply = core.call(core.about(Operation::Put, key), limit, request).await?;
        match reply.head.status {
            StatusCode::OK => Ok(PutOutcome::Stored),
            StatusCode::CONFLICT => Ok(PutOutcome::Exists),
            _ => Err(reply.refused()),
        }
    }

    /// Leases an object for `ttl`, or for as long as the daemon grants. If it is being written,
    /// waits for it, at most `wait`, within the time of the call unless `wait` is longer.
    /// `None` on a miss.
    ///
    /// # Errors
    ///
    /// Those of any call; a miss is none.
    pub async fn lease(
        &self,
        key: &Key,
        wait: Duration,
        ttl: Duration,
    ) -> Result<Option<Lease>, Error> {
        or_absent(self.acquire(key, wait, ttl).await)
    }

    /// The same, with [`Error::StillWriting`] for an object that has not come within the wait: no miss
    /// for a caller who asks again.
    ///
    /// # Errors
    ///
    /// Those of any call; a miss is none.
    pub async fn acquire(
        &self,
        key: &Key,
        wait: Duration,
        ttl: Duration,
    ) -> Result<Option<Lease>, Error> {
        let core = &self.core;
        let (timeout_ms, ttl_s) = (wait.as_millis(), ttl.as_secs_f64());
        let request = core.template.of_object(
            Operation::Lease,
            key,
            format_args!("/leases?timeout_ms={timeout_ms}&ttl_s={ttl_s}"),
        );
        let limit = Limit::new(core.config.timeouts.lease(wait));
        let call = core.about(Operation::Lease, key);
        let asked = Instant::now();
        let reply = core.call(call, limit, request).await?;
        match reply.head.status {
            StatusCode::OK => {}
            StatusCode::GATEWAY_TIMEOUT => return Err(Error::StillWriting { key: key.clone() }),
            _ if reply.is_absent() => return Ok(None),
            _ => return Err(reply.refused()),
        }
        let granted = reply.json::<LeaseReply>().inspect_err(|_| {
            if let Ok(NamedLease { id }) = reply.json() {
                drop(Lease::unusable(&call, id, ttl));
            }
        })?;
        Lease::new(&call, granted, asked, ttl)
    }

    /// Tells whether an object exists, and its length. `None` if not.
    ///
    /// # Errors
    ///
    /// Those of any call; an absent object is none.
    pub async fn head(&self, key: &Key) -> Result<Option<ObjectInfo>, Error> {
        let core = &self.core;
        let request = core.template.of_object(Operation::Head, key, format_args!(""));
        let call = core.about(Operation::Head, key);
        let reply = core.call(call, core.call_limit(), request).await?;
        match reply.head.status {
            StatusCode::OK => {
                let len = reply.head.len.ok_or_else(|| call.protocol("no content length"))?;
                let checksum = checksum_header(&reply.head, &call)?;
                Ok(Some(ObjectInfo { len: ByteSize::new(len), checksum }))
            }
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(reply.refused()),
        }
    }

    /// Streams an object over HTTP. `None` on a miss.
    ///
    /// # Errors
    ///
    /// Those of any call; a miss is none.
    pub async fn get(&self, key: &Key) -> Result<Option<ObjectStream>, Error> {
        let core = &self.core;
        let request = core.template.of_object(Operation::Get, key, format_args!(""));
        let limit = Limit::new(core.config.timeouts.transfer);
        let call = core.about(Operation::Get, key);
        let (head, pooled) = match core.open(call, limit, request).await? {
            Opened::Object(head, pooled) => (head, pooled),
            Opened::Other(reply) if reply.is_absent() => return Ok(None),
            Opened::Other(reply) => return Err(reply.refused()),
        };
        let len = head.len.ok_or_else(|| call.protocol("no content length"))?;
        Ok(Some(ObjectStream {
            key: key.clone(),
            core: Arc::clone(core),
            len: ByteSize::new(len),
            expected: checksum_header(&head, &call)?,
            pooled: Some(pooled),
            digest: Digest::new(),
            limit,
            id: call.id,
        }))
    }

    /// Removes an object. `false` if there was none.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] while the object is being written.
    pub async fn remove(&self, key: &Key) -> Result<bool, Error> {
        let core = &self.core;
        let request = core.template.of_object(Operation::Remove, key, format_args!(""));
        let reply =
            core.call(core.about(Operation::Remove, key), core.call_limit(), request).await?;
        match reply.head.status {
            status if status.is_success() => Ok(true),
            _ if reply.is_absent() => Ok(false),
            _ => Err(reply.refused()),
        }
    }

    /// Reports that an object's bytes did not match its checksum: those of this generation, or of
    /// whichever object has the key now. The daemon looks itself, afterwards, and removes the object
    /// only if it finds it corrupt. `false` if there is no such object.
    ///
    /// # Errors
    ///
    /// Those of any call; [`Error::Refused`] by a daemon that takes no reports.
    pub async fn report(&self, key: &Key, generation: Option<u64>) -> Result<bool, Error> {
        let core = &self.core;
        let query = generation.map(|generation| format!("?generation={generation}"));
        let query = query.unwrap_or_default();
        let request =
            core.template.of_object(Operation::Report, key, format_args!("/reports{query}"));
        let call = core.about(Operation::Report, key);
        let reply = core.call(call, core.call_limit(), request).await?;
        match reply.head.status {
            status if status.is_success() => Ok(true),
            _ if reply.is_absent() => Ok(false),
            _ => Err(reply.refused()),
        }
    }

    /// The state of the daemon in numbers.
    ///
    /// # Errors
    ///
    /// Those of any call.
    pub async fn stats(&self) -> Result<StatsReply, Error> {
        let core = &self.core;
        let request = core.template.of_path(Operation::Stats, format_args!("/v1/stats"));
        core.success(Operation::Stats, request).await?.json()
    }

    /// Whether the daemon answers at all. Any answer will do: not every daemon has such a path.
    ///
    /// # Errors
    ///
    /// Those of any call without an answer.
    pub async fn ping(&self) -> Result<(), Error> {
        let core = &self.core;
        let request = core.template.of_path(Operation::Ping, format_args!("/healthz"));
        let call = Call::new(core, Operation::Ping);
        core.call(call, core.call_limit(), request).await.map(drop)
    }

    /// How many releases were sent whose answers are still to come.
    pub fn pending_releases(&self) -> usize {
        self.core.pool.drain_idle()
    }

    /// Whether the client calls its daemon, for a report of its state.
    pub fn breaker(&self) -> BreakerState {
        self.core.breaker.state()
    }

    /// The counters of the client.
    pub fn counters(&self) -> Counters {
        self.core.pool.drain_idle();
        self.core.counting.read()
    }

    /// Whether the daemon is kvlease, as far as its answers have shown: it has a listing, removes
    /// objects, and answers `HEAD`.
    pub fn speaks_extensions(&self) -> bool {
        self.core.speaks_extensions()
    }

    /// The incarnation of the daemon as of its last answer; `None` before one, and for a daemon that
    /// announces none.
    pub fn announced_epoch(&self) -> Option<Epoch> {
        self.core.announced_epoch()
    }

    /// The daemon's announcement in its last answer.
    pub fn announcement(&self) -> Announcement {
        self.core.announcement()
    }
}
