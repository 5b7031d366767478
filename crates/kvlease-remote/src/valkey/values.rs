//! The tier, and the values it reads.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use kvlease_tier::TierError;
use redis::RedisError;

use super::{
    access::Access, answer::QueryError, call::Purpose, fetch::Fetch, format::PIECE_LEN,
    servers::Servers,
};
use crate::{
    authorities::Authorities,
    budget::Budget,
    chunks::{CHUNK_LEN, Chunks},
    head::{HEAD_LEN_MAX, Head, head_len},
    layout::Layout,
    location::ValkeyLocation,
    options::Options,
};

/// The head of a value is in its first part.
const _: () = assert!(HEAD_LEN_MAX <= CHUNK_LEN);

/// Tier in Valkey or Redis.
#[derive(Debug)]
pub(crate) struct Valkey {
    pub(super) servers: Servers,
    pub(super) layout: Layout,
    pub(super) budget: Budget,
    pub(super) chunks: Chunks,
    pub(super) shown: String,
    closed: AtomicBool,
}

impl Valkey {
    /// The tier at a place; nothing is connected yet.
    pub(crate) fn new(
        location: ValkeyLocation,
        options: &Options,
        authorities: &Authorities,
    ) -> Result<Self, RedisError> {
        let access = Access::new(&location, options, authorities)?;
        Ok(Self {
            servers: Servers::new(&location, access)?,
            layout: location.layout,
            budget: Budget::new(options.buffers, PIECE_LEN),
            chunks: Chunks::default(),
            shown: location.shown,
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

    /// At most the first `len` bytes of a value, in one part at least; `None` if there is none.
    pub(super) async fn start_of(
        &self,
        purpose: Purpose,
        name: &str,
        len: u64,
    ) -> Result<Option<Vec<Bytes>>, QueryError> {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let parts = self.servers.fetch(purpose, &Fetch::new(name, len, &self.chunks)).await?;
        // The range of a missing value is empty, and no value of this tier is.
        Ok(parts.filter(|parts| !parts.is_empty()))
    }

    /// Head of the value under an object's name; an error in it says why it is none.
    pub(super) async fn head(
        &self,
        bucket: &str,
        key: &str,
    ) -> Result<Option<Result<Head, String>>, QueryError> {
        let (name, len) = (self.layout.object(bucket, key), head_len(bucket, key));
        match self.start_of(Purpose::LookUp, &name, len as u64).await {
            Ok(start) => Ok(start.map(|start| Head::decode_as(&start[0], bucket, key))),
            Err(QueryError::WrongType) => Ok(Some(Err(WRONG_TYPE.to_owned()))),
            Err(error) => Err(error),
        }
    }
}

/// Reason why a list, a set or a hash is no object.
pub(super) const WRONG_TYPE: &str = "it is no string";
