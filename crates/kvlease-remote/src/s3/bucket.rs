//! The tier, and the values it reads.

use std::{
    fmt,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use kvlease_tier::TierError;
use object_store::{
    BackoffConfig, GetOptions, ObjectStore, ObjectStoreExt, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey},
    path::Path,
};

use super::{
    connector::Connector,
    format::{PART_LEN, put_len_max},
};
use crate::{
    authorities::Authorities,
    budget::Budget,
    chunks::Chunks,
    deadline::within,
    head::{Head, head_len},
    layout::Layout,
    location::S3Location,
    options::{AccessKey, Options},
    remedy::with_remedy,
};

/// Requests sent again after the first for one call.
const RETRIES: usize = 2;

/// Waits between the requests of a call.
const BACKOFF: Range<Duration> = Duration::from_millis(50)..Duration::from_millis(500);

/// Tier in a bucket of an S3-compatible store.
pub(crate) struct S3 {
    /// Shared with uploads that are to be aborted.
    pub(super) store: Arc<AmazonS3>,
    pub(super) layout: Layout,
    pub(super) budget: Budget,
    pub(super) chunks: Chunks,
    /// Whether values are read while they are sent. They are not if the library has to sum them.
    pub(super) is_streaming: bool,
    /// The largest value that is stored by one request.
    pub(super) put_len_max: u64,
    pub(super) shown: String,
    pub(super) call_timeout: Duration,
    closed: AtomicBool,
}

// The library's output may have credentials.
impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3").field("place", &self.shown).finish_non_exhaustive()
    }
}

/// Bytes at the start of a value, and its length.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) bytes: Vec<Bytes>,
    pub(super) len: u64,
}

/// Bytes of a value that are on their way, and its length.
pub(super) struct Opened {
    pub(super) bytes: BoxStream<'static, object_store::Result<Bytes>>,
    pub(super) len: u64,
}

impl Start {
    /// The bytes in one piece.
    pub(super) fn to_vec(&self) -> Vec<u8> {
        self.bytes.concat()
    }
}

impl S3 {
    /// The tier at a place; nothing is connected yet. The error is for people.
    pub(crate) fn new(
        location: S3Location,
        options: &Options,
        authorities: &Authorities,
    ) -> Result<Self, String> {
        let connector = Connector::new(options.connect_timeout, authorities)
            .map_err(|error| error.to_string())?;
        let retries = RetryConfig {
            backoff: BackoffConfig {
                init_backoff: BACKOFF.start,
                max_backoff: BACKOFF.end,
                ..BackoffConfig::default()
            },
            max_retries: RETRIES,
            retry_timeout: options.call_timeout,
        };
        let credentials = match &options.access_key {
            Some(AccessKey { id, secret }) => AmazonS3Builder::new()
                .with_access_key_id(id.expose())
                .with_secret_access_key(secret.expose()),
            None => AmazonS3Builder::from_env(),
        };
        let mut builder = credentials
            .with_bucket_name(&location.bucket)
            .with_http_connector(connector)
            .with_retry(retries)
            // The value has a checksum of its own, which the reader compares.
            .with_unsigned_payload(true)
            // Not all stores know how to remove several objects at once.
            .with_disable_bulk_delete(true);
        if let Some(region) = location.region {
            builder = builder.with_region(region);
        }
        if let Some(virtual_host) = location.virtual_host {
            builder = builder.with_virtual_hosted_style_request(virtual_host);
        }
        if let Some(endpoint) = location.endpoint {
            let is_plain = endpoint.starts_with("http://");
            let endpoint = match (location.virtual_host, endpoint.split_once("://")) {
                (Some(true), Some((scheme, host))) => {
                    format!("{scheme}://{}.{host}", location.bucket)
                }
                _ => endpoint,
            };
            builder = builder.with_endpoint(endpoint).with_allow_http(is_plain);
        }
        let is_streaming = builder.get_config_value(&AmazonS3ConfigKey::Checksum).is_none();
        Ok(Self {
            is_streaming,
            store: Arc::new(builder.build().map_err(|error| error.to_string())?),
            layout: location.layout,
            budget: Budget::new(options.buffers, PART_LEN),
            chunks: Chunks::default(),
            put_len_max: put_len_max(options.buffers),
            shown: location.shown,
            call_timeout: options.call_timeout,
            closed: AtomicBool::new(false),
        })
    }

    /// Refuses calls once the tier is closed.
    pub(super) fn check_open(&self) -> Result<(), TierError> {
        if self.closed.load(Ordering::Relaxed) { Err(TierError::Closed) } else { Ok(()) }
    }

    /// Refuses calls from now on.
    pub(super) fn shut(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    /// Waits for a request, no longer than a call may take.
    pub(super) async fn call<T>(
        &self,
        what: &'static str,
        request: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, TierError> {
        within(self.call_timeout, what, async { request.await.map_err(unavailable) }).await
    }

    /// Bytes of a value, at most in this range, and the length of the value; `None` if there is none.
    pub(super) async fn range(
        &self,
        path: &Path,
        range: Range<u64>,
    ) -> Result<Option<Start>, TierError> {
        let get = async {
            let Some(opened) = self.open_range(path, range).await? else { return Ok(None) };
            let bytes = opened.bytes.try_collect().await?;
            Ok(Some(Start { bytes, len: opened.len }))
        };
        self.call("GET", get).await
    }

    /// The same, before the bytes have come.
    pub(super) async fn open_range(
        &self,
        path: &Path,
        range: Range<u64>,
    ) -> object_store::Result<Option<Opened>> {
        let wanted = range.end - range.start;
        let options = GetOptions { range: Some(range.into()), ..GetOptions::default() };
        let found = match self.store.get_opts(path, options).await {
            Ok(found) => found,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return self.empty_value(path, error).await.map(Some),
        };
        let len = found.meta.size;
        // A store that ignores ranges sends all of a value that may have any length.
        if found.range.end - found.range.start > wanted {
            return Ok(Some(Opened { bytes: stream::empty().boxed(), len }));
        }
        Ok(Some(Opened { bytes: found.into_stream(), len }))
    }

    /// The answer for a value without bytes, in which no range lies; otherwise the error that it was.
    async fn empty_value(
        &self,
        path: &Path,
        error: object_store::Error,
    ) -> object_store::Result<Opened> {
        match self.store.head(path).await {
            Ok(found) if found.size == 0 => Ok(Opened { bytes: stream::empty().boxed(), len: 0 }),
            _ => Err(error),
        }
    }

    /// Head of the value under an object's name, and the length of the value; an error in it says why
    /// it is no head.
    pub(super) async fn head(
        &self,
        bucket: &str,
        key: &str,
    ) -> Result<Option<(Result<Head, String>, u64)>, TierError> {
        let len = head_len(bucket, key) as u64;
        let start = self.range(&self.path(bucket, key)?, 0..len).await?;
        Ok(start.map(|start| (Head::decode_as(&start.to_vec(), bucket, key), start.len)))
    }

    /// Name of an object in the store.
    pub(super) fn path(&self, bucket: &str, key: &str) -> Result<Path, TierError> {
        path(&self.layout.object(bucket, key))
    }
}

/// A name as the library has it.
pub(super) fn path(name: &str) -> Result<Path, TierError> {
    // No name has an empty segment, a dot segment or a control character.
    Path::parse(name).map_err(|error| unavailable(error.into()))
}

/// Whether a value is as long as its head says.
pub(super) fn is_whole(head: &Head, len: u64) -> bool {
    head.piece_len == 0 && head.len() as u64 + head.stat.len.bytes() == len
}

/// The tier's error for one of the library.
pub(super) fn unavailable(error: object_store::Error) -> TierError {
    TierError::Unavailable(with_remedy(error.to_string()).into())
}

/// Whether there is no such value. A bucket that is not there is another matter, though stores answer both with 404.
pub(super) fn is_absent(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::NotFound { .. })
        && !error.to_string().contains("NoSuchBucket")
}
