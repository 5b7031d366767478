//! The calls of the protocol, one method each.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use http::{Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use kvlease_api::{LeaseReply, ListReply, OCTETS, RenewReply, StatsReply, encode};
use kvlease_shm::{Attachment, Digest};
use kvlease_types::{ByteSize, Checksum, Key};
use tokio::{sync::Semaphore, time};

use crate::{
    ClientConfig, Error, Lease, ObjectStream, PutBody,
    body::source_error,
    lease::BACKGROUND_RELEASES_MAX,
    pool::{Busy, Pool, PoolError},
    reply::{Call, Reply, checksum_header},
};

/// What the client calls itself.
const USER_AGENT: &str = concat!("kvlease-client/", env!("CARGO_PKG_VERSION"));

/// A client of one daemon. Clones share its connections and its mapping of the segment.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: ClientConfig,
    pool: Arc<Pool>,
    /// The segment as it was attached last. Never locked across an await.
    pub(crate) attachment: Mutex<Option<Arc<Attachment>>>,
    background: Arc<Semaphore>,
}

/// What a put came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PutOutcome {
    /// The object is stored and visible.
    Stored,
    /// The key has an object already, or one that is being written. Nothing was changed.
    Exists,
}

/// What is known of an object without reading it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ObjectInfo {
    /// Its length.
    pub len: ByteSize,
    /// Its checksum, if the daemon sends one.
    pub checksum: Option<Checksum>,
}

impl Client {
    /// A client that has not connected yet.
    pub fn new(config: ClientConfig) -> Self {
        let connect_max = config.timeouts.connect;
        let pool = Pool::new(config.address.clone(), connect_max, config.connections_max);
        Self {
            shared: Arc::new(Shared {
                config,
                pool: Arc::new(pool),
                attachment: Mutex::default(),
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
        let limit = self.shared.config.timeouts.transfer;
        let request = self.request(Method::PUT, &self.object_path(key), body.into());
        let reply = self.call("put", limit, request).await.map_err(|error| match error {
            Error::Broken { source, operation, address } => match source_error(&source) {
                Some(source) => Error::Source { key: key.clone(), source },
                None => Error::Broken { source, operation, address },
            },
            error => error,
        })?;
        match reply.status {
            StatusCode::OK => Ok(PutOutcome::Stored),
            StatusCode::CONFLICT => Ok(PutOutcome::Exists),
            _ => Err(reply.refused()),
        }
    }

    /// Leases an object for `ttl`, or for as long as the daemon grants. If it is being written,
    /// waits for it, at most `wait`. `None` on a miss.
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
        let path =
            format!("{}/leases?timeout_ms={timeout_ms}&ttl_s={ttl_s}", self.object_path(key));
        let limit = self.shared.config.timeouts.call.saturating_add(wait);
        let asked = Instant::now();
        let reply = self.post("lease", limit, &path).await?;
        match reply.status {
            StatusCode::OK => {}
            StatusCode::GATEWAY_TIMEOUT => return Ok(None),
            _ if reply.is_absent() => return Ok(None),
            _ => return Err(reply.refused()),
        }
        let granted: LeaseReply = reply.json()?;
        let background = Arc::clone(&self.shared.background);
        let call = self.describe("lease");
        Lease::new(self.clone(), background, key.clone(), granted, asked, ttl, &call)
    }

    /// Tells whether an object exists, and its length. `None` if not.
    ///
    /// # Errors
    ///
    /// Those of any call; an absent object is none.
    pub async fn head(&self, key: &Key) -> Result<Option<ObjectInfo>, Error> {
        let request = self.request(Method::HEAD, &self.object_path(key), PutBody::empty());
        let reply = self.call("head", self.shared.config.timeouts.call, request).await?;
        match reply.status {
            StatusCode::OK => {
                let call = self.describe("head");
                let len =
                    reply.headers.get(header::CONTENT_LENGTH).and_then(|len| len.to_str().ok());
                let len = len.and_then(|len| len.parse().ok());
                let len = ByteSize::new(len.ok_or_else(|| call.protocol("no content length"))?);
                Ok(Some(ObjectInfo { len, checksum: checksum_header(&reply.headers, &call)? }))
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
        let call = self.describe("get");
        let limit = self.shared.config.timeouts.transfer;
        let started = time::Instant::now();
        let deadline = started + limit;
        let request = self.request(Method::GET, &self.object_path(key), PutBody::empty());
        let sent = time::timeout_at(deadline, self.send(&call, request)).await;
        let (response, busy) = sent.map_err(|_| timed_out(&call, limit))??;
        if response.status() != StatusCode::OK {
            let reply = time::timeout_at(deadline, Reply::read(response, busy, call.clone())).await;
            let reply = reply.map_err(|_| timed_out(&call, limit))??;
            return if reply.is_absent() { Ok(None) } else { Err(reply.refused()) };
        }
        let len = http_body::Body::size_hint(response.body()).exact();
        let len = len.ok_or_else(|| call.protocol("no content length"))?;
        let expected = checksum_header(response.headers(), &call)?;
        Ok(Some(ObjectStream {
            key: key.clone(),
            call,
            len: ByteSize::new(len),
            expected,
            incoming: response.into_body(),
            busy: Some(busy),
            arrived: 0,
            digest: Digest::new(),
            started,
            deadline,
        }))
    }

    /// Removes an object. `false` if there was none.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] while the object is being written.
    pub async fn remove(&self, key: &Key) -> Result<bool, Error> {
        let request = self.request(Method::DELETE, &self.object_path(key), PutBody::empty());
        let reply = self.call("remove", self.shared.config.timeouts.call, request).await?;
        match reply.status {
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
        let bucket = encode(self.shared.config.bucket.as_str());
        let path = format!("/v1/kv/{bucket}?prefix={}&cursor={cursor}", encode(prefix));
        let request = self.request(Method::GET, &path, PutBody::empty());
        self.success("list", request).await?.json()
    }

    /// The state of the daemon in numbers.
    ///
    /// # Errors
    ///
    /// Those of any call.
    pub async fn stats(&self) -> Result<StatsReply, Error> {
        let request = self.request(Method::GET, "/v1/stats", PutBody::empty());
        self.success("stats", request).await?.json()
    }

    pub(crate) async fn release(&self, id: &str) -> Result<(), Error> {
        let path = format!("/v1/leases/{}/release", encode(id));
        let request = self.request(Method::POST, &path, PutBody::empty());
        self.success("release", request).await.map(drop)
    }

    /// `None` if the lease has ended.
    pub(crate) async fn renew(&self, id: &str, ttl: Duration) -> Result<Option<RenewReply>, Error> {
        let path = format!("/v1/leases/{}/renew?ttl_s={}", encode(id), ttl.as_secs_f64());
        let reply = self.post("renew", self.shared.config.timeouts.call, &path).await?;
        match reply.status {
            StatusCode::OK => reply.json().map(Some),
            _ if reply.is_absent() => Ok(None),
            _ => Err(reply.refused()),
        }
    }

    async fn post(
        &self,
        operation: &'static str,
        limit: Duration,
        path: &str,
    ) -> Result<Reply, Error> {
        self.call(operation, limit, self.request(Method::POST, path, PutBody::empty())).await
    }

    async fn success(
        &self,
        operation: &'static str,
        request: Request<PutBody>,
    ) -> Result<Reply, Error> {
        let reply = self.call(operation, self.shared.config.timeouts.call, request).await?;
        if reply.status.is_success() { Ok(reply) } else { Err(reply.refused()) }
    }

    /// Sends a request and reads its reply to the end, all within `limit`.
    async fn call(
        &self,
        operation: &'static str,
        limit: Duration,
        request: Request<PutBody>,
    ) -> Result<Reply, Error> {
        let call = self.describe(operation);
        let exchange = async {
            let (response, busy) = self.send(&call, request).await?;
            Reply::read(response, busy, call.clone()).await
        };
        time::timeout(limit, exchange).await.map_err(|_| timed_out(&call, limit))?
    }

    async fn send(
        &self,
        call: &Call,
        request: Request<PutBody>,
    ) -> Result<(Response<Incoming>, Busy), Error> {
        self.shared.pool.send(request).await.map_err(|error| match error {
            PoolError::Broken(source) => call.broken(source),
            PoolError::Unreachable(source) => {
                Error::Unreachable { address: call.address.clone(), source }
            }
        })
    }

    fn request(&self, method: Method, path: &str, body: PutBody) -> Request<PutBody> {
        let request = Request::builder()
            .method(&method)
            .uri(path)
            .header(header::HOST, self.shared.config.address.authority())
            .header(header::USER_AGENT, USER_AGENT);
        let request = match (method, http_body::Body::size_hint(&body).exact()) {
            // The HTTP layer by itself says nothing of an empty body, which a put must.
            (Method::PUT, Some(len)) => {
                request.header(header::CONTENT_TYPE, OCTETS).header(header::CONTENT_LENGTH, len)
            }
            (Method::PUT, None) => request.header(header::CONTENT_TYPE, OCTETS),
            _ => request,
        };
        request.body(body).expect("percent-encoded paths and constant headers are always valid")
    }

    fn object_path(&self, key: &Key) -> String {
        let bucket = encode(self.shared.config.bucket.as_str());
        format!("/v1/kv/{bucket}/{}", encode(key.as_str()))
    }

    fn describe(&self, operation: &'static str) -> Call {
        Call { operation, address: self.shared.config.address.clone() }
    }
}

/// The error for a call that did not end in time.
pub(crate) fn timed_out(call: &Call, limit: Duration) -> Error {
    Error::TimedOut { operation: call.operation, limit, address: call.address.clone() }
}
