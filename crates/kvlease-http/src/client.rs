//! The calls of the protocol, one method each.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, atomic::AtomicBool},
    time::{Duration, Instant},
};

use http::StatusCode;
use kvlease_api::{LeaseReply, ListReply, RenewReply, StatsReply, encode};
use kvlease_attach::Attachment;
use kvlease_sys::Digest;
use kvlease_types::{ByteSize, Checksum, Key};
use serde::Deserialize;
use tokio::sync::Semaphore;

use crate::{
    ClientConfig, Error, Lease, ObjectStream, PutBody,
    breaker::Breaker,
    call::{Limit, Opened},
    counters::Counting,
    lease::BACKGROUND_RELEASES_MAX,
    operation::Operation,
    pool::Pool,
    reply::{Call, Reply, checksum_header},
    request::{Request, Template},
};

/// A client of one daemon. Clones share its connections and its mapping of the segment.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: ClientConfig,
    template: Template,
    pub(crate) pool: Pool,
    pub(crate) breaker: Breaker,
    pub(crate) counting: Arc<Counting>,
    pub(crate) speaks_extensions: AtomicBool,
    /// The segment as it was attached last. Never locked across an await.
    pub(crate) attachment: Mutex<Option<Arc<Attachment>>>,
    /// Socket of the daemon's fast lane, if it was announced.
    pub(crate) socket: Mutex<Option<PathBuf>>,
    pub(crate) background: Arc<Semaphore>,
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
        Self {
            shared: Arc::new(Shared {
                template: Template::new(&config.address, &config.bucket),
                pool: Pool::new(&config),
                config,
                breaker: Breaker::default(),
                counting: Arc::default(),
                speaks_extensions: AtomicBool::new(false),
                attachment: Mutex::default(),
                socket: Mutex::default(),
                background: Arc::new(Semaphore::new(BACKGROUND_RELEASES_MAX)),
            }),
        }
    }

    /// The settings that the client was made with.
    pub fn config(&self) -> &ClientConfig {
        &self.shared.config
    }

    /// Stores an object, unless the key has one.
    ///
    /// # Errors
    ///
    /// [`Error::Source`] if a source of bytes fails. Then, and after every other error but a
    /// time-out or a broken connection, nothing was stored.
    pub async fn put(&self, key: &Key, body: impl Into<PutBody>) -> Result<PutOutcome, Error> {
        let request = self.shared.template.put(key, body.into());
        let limit = Limit::new(self.shared.config.timeouts.transfer);
        let reply = self.call(self.about(Operation::Put, key), limit, request).await?;
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
        let (timeout_ms, ttl_s) = (wait.as_millis(), ttl.as_secs_f64());
        let request = self.shared.template.of_object(
            Operation::Lease,
            key,
            format_args!("/leases?timeout_ms={timeout_ms}&ttl_s={ttl_s}"),
        );
        let limit = Limit::new(self.shared.config.timeouts.lease(wait));
        let call = self.about(Operation::Lease, key);
        let asked = Instant::now();
        let reply = self.call(call, limit, request).await?;
        match reply.head.status {
            StatusCode::OK => {}
            StatusCode::GATEWAY_TIMEOUT => return Ok(None),
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
        let request = self.shared.template.of_object(Operation::Head, key, format_args!(""));
        let call = self.about(Operation::Head, key);
        let reply = self.call(call, self.call_limit(), request).await?;
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
        let request = self.shared.template.of_object(Operation::Get, key, format_args!(""));
        let limit = Limit::new(self.shared.config.timeouts.transfer);
        let call = self.about(Operation::Get, key);
        let (head, pooled) = match self.open(call, limit, request).await? {
            Opened::Object(head, pooled) => (head, pooled),
            Opened::Other(reply) if reply.is_absent() => return Ok(None),
            Opened::Other(reply) => return Err(reply.refused()),
        };
        let len = head.len.ok_or_else(|| call.protocol("no content length"))?;
        Ok(Some(ObjectStream {
            key: key.clone(),
            client: self.clone(),
            len: ByteSize::new(len),
            expected: checksum_header(&head, &call)?,
            pooled: Some(pooled),
            digest: Digest::new(),
            limit,
        }))
    }

    /// Removes an object. `false` if there was none.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] while the object is being written.
    pub async fn remove(&self, key: &Key) -> Result<bool, Error> {
        let request = self.shared.template.of_object(Operation::Remove, key, format_args!(""));
        let reply =
            self.call(self.about(Operation::Remove, key), self.call_limit(), request).await?;
        match reply.head.status {
            status if status.is_success() => Ok(true),
            _ if reply.is_absent() => Ok(false),
            _ => Err(reply.refused()),
        }
    }

    /// One page of the bucket's objects whose keys start with `prefix`. The first page has cursor
    /// 0, each other one the `next_cursor` of the page before.
    ///
    /// # Errors
    ///
    /// Those of any call.
    pub async fn list(&self, prefix: &str, cursor: u32) -> Result<ListReply, Error> {
        let request = self
            .shared
            .template
            .of_bucket(Operation::List, format_args!("?prefix={}&cursor={cursor}", encode(prefix)));
        self.success(Operation::List, request).await?.json()
    }

    /// The state of the daemon in numbers.
    ///
    /// # Errors
    ///
    /// Those of any call.
    pub async fn stats(&self) -> Result<StatsReply, Error> {
        let request = self.shared.template.of_path(Operation::Stats, format_args!("/v1/stats"));
        self.success(Operation::Stats, request).await?.json()
    }

    /// Whether the daemon answers at all. Any answer will do: not every daemon has such a path.
    ///
    /// # Errors
    ///
    /// Those of any call without an answer.
    pub async fn ping(&self) -> Result<(), Error> {
        let request = self.shared.template.of_path(Operation::Ping, format_args!("/healthz"));
        let call = Call { client: self, operation: Operation::Ping, key: None };
        self.call(call, self.call_limit(), request).await.map(drop)
    }

    /// Sends a release whose answer is read later; `false` if no connection is idle.
    pub(crate) fn release_unawaited(&self, id: &str) -> bool {
        let Shared { pool, counting, .. } = &*self.shared;
        pool.send_unawaited(&self.release_request(id).head, counting)
    }

    /// How many releases were sent whose answers are still to come.
    pub fn pending_releases(&self) -> usize {
        self.shared.pool.drain_idle()
    }

    fn release_request(&self, id: &str) -> Request {
        let path = format_args!("/v1/leases/{}/release", encode(id));
        self.shared.template.of_path(Operation::Release, path)
    }

    pub(crate) async fn release(&self, id: &str) -> Result<(), Error> {
        let request = self.release_request(id);
        self.success(Operation::Release, request).await.map(drop)
    }

    /// `None` if the lease has ended.
    pub(crate) async fn renew(
        &self,
        key: &Key,
        id: &str,
        ttl: Duration,
    ) -> Result<Option<RenewReply>, Error> {
        let request = self.shared.template.of_path(
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

    async fn success(&self, operation: Operation, request: Request) -> Result<Reply<'_>, Error> {
        let call = Call { client: self, operation, key: None };
        let reply = self.call(call, self.call_limit(), request).await?;
        if reply.head.status.is_success() { Ok(reply) } else { Err(reply.refused()) }
    }

    fn about<'a>(&'a self, operation: Operation, key: &'a Key) -> Call<'a> {
        Call { client: self, operation, key: Some(key) }
    }

    fn call_limit(&self) -> Limit {
        Limit::new(self.shared.config.timeouts.call)
    }
}
