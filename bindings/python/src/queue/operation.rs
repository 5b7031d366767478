//! Operations of a queue.

use kvlease_client::{
    ByteSize, Connector, Error, ExternalBuffer, ExternalBytes, Key, OpenObject, PutBody,
    ReservedSpace,
};
use kvlease_sys::KeepAlive;
use pyo3::{prelude::*, pybacked::PyBackedStr};
use tokio::task::JoinSet;

use super::outcome::Outcome;
use crate::{arguments, object, results::is_stored};

/// The most bytes that are copied while an event loop waits.
const SMALL_LEN_MAX: usize = 1 << 20;

/// The most keys that an event loop waits for: more take a daemon longer, fast lane or not.
const SMALL_KEYS_MAX: usize = 1024;

/// A small part of an object that goes first, and the rest, which stays where it is.
pub(super) type Parts<'py> = (Vec<u8>, Bound<'py, PyAny>);

/// An open object and the buffer for its rest.
pub(super) type Read = (OpenObject, ExternalBuffer);

/// One operation on a connector.
pub(super) enum Operation {
    Open { keys: Vec<Key>, head_len: usize },
    Exists { keys: Vec<Key> },
    Lookup { keys: Vec<Key> },
    Hold { keys: Vec<Key> },
    Put { objects: Vec<(Key, PutBody)>, owners: Vec<KeepAlive>, len: usize },
    GetInto { objects: Vec<(Key, ExternalBuffer)> },
    ReadRest { reads: Vec<Read> },
    View { keys: Vec<Key> },
    Reserve { objects: Vec<(Key, ByteSize)> },
    Commit { written: Vec<ReservedSpace> },
    Remove { keys: Vec<Key> },
    List { prefix: String },
    Ping,
}

impl Operation {
    /// A put of these objects.
    pub(super) fn put(keys: Vec<PyBackedStr>, objects: Vec<Parts<'_>>) -> PyResult<Self> {
        let keys = arguments::keys(&keys)?;
        let (heads, data): (Vec<_>, Vec<_>) = objects.into_iter().unzip();
        let data = arguments::payloads(&keys, &data)?;
        let owners = data.iter().map(ExternalBytes::keep_alive).collect();
        let len = data.iter().map(|data| data.as_ref().len()).sum();
        let bodies = heads.into_iter().zip(data).map(|(head, data)| PutBody::headed(head, data));
        Ok(Self::Put { objects: keys.into_iter().zip(bodies).collect(), owners, len })
    }

    /// The memory of the caller that it uses.
    pub(super) fn owners(&self) -> Vec<KeepAlive> {
        match self {
            Self::Put { owners, .. } => owners.clone(),
            Self::GetInto { objects } => {
                objects.iter().map(|(_, into)| into.keep_alive()).collect()
            }
            Self::ReadRest { reads } => reads.iter().map(|(_, into)| into.keep_alive()).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether it is answered so soon that its caller waits for the answer: one key, or many over
    /// the fast lane, and few bytes to copy.
    pub(super) fn is_small(&self, connector: &Connector) -> bool {
        match self {
            Self::Open { keys, .. } | Self::Exists { keys } | Self::Lookup { keys } => {
                keys.len() == 1 || keys.len() <= SMALL_KEYS_MAX && connector.is_fast()
            }
            // Over HTTP even a small object takes longer than an event loop should wait.
            Self::Put { len, .. } => *len <= SMALL_LEN_MAX && connector.is_fast(),
            _ => false,
        }
    }

    /// Does it.
    pub(super) async fn run(self, connector: Connector) -> Outcome {
        match self {
            Self::Open { keys, head_len } => {
                Outcome::Objects(connector.batched_peek(&keys, head_len).await)
            }
            Self::Exists { keys } => Outcome::Flags(connector.batched_exists(&keys).await),
            Self::Lookup { keys } => Outcome::Count(connector.lookup_prefix(&keys).await),
            Self::Hold { keys } => Outcome::Flags(connector.prefetch_leases(&keys).await),
            Self::Put { objects, .. } => {
                let stored = connector.batched_put(objects).await.into_iter();
                Outcome::Flags(stored.map(|stored| stored.map(is_stored)).collect())
            }
            Self::GetInto { objects } => Outcome::Flags(connector.batched_get_into(objects).await),
            Self::ReadRest { reads } => Outcome::Flags(read_rest(reads).await),
            Self::View { keys } => Outcome::Views(connector.batched_view(&keys).await),
            Self::Reserve { objects } => Outcome::Reservations(connector.reserve(&objects).await),
            Self::Commit { written } => {
                let stored = connector.commit(written).await.into_iter();
                Outcome::Flags(stored.map(|stored| stored.map(is_stored)).collect())
            }
            Self::Remove { keys } => Outcome::Flags(connector.batched_remove(&keys).await),
            Self::List { prefix } => {
                let listed = connector.list(&prefix).await;
                Outcome::Names(
                    listed.map(|objects| objects.into_iter().map(|object| object.key).collect()),
                )
            }
            Self::Ping => Outcome::Done(connector.ping().await),
        }
    }
}

/// Checks all buffers before it takes the first object.
pub(super) fn unread(
    objects: Vec<(Bound<'_, object::OpenObject>, Bound<'_, PyAny>)>,
) -> PyResult<Vec<Read>> {
    let buffers = objects
        .iter()
        .map(|(object, buffer)| arguments::buffer(buffer, &object.get().key))
        .collect::<PyResult<Vec<_>>>()?;
    let names = objects.iter().map(|(object, _)| object.get().key.as_str());
    arguments::distinct(names.zip(&buffers))?;
    objects
        .iter()
        .zip(buffers)
        .map(|((object, _), buffer)| Ok((object.get().take()?, buffer)))
        .collect()
}

/// Reads all at once, as far as the connector's threads for copies allow.
async fn read_rest(reads: Vec<Read>) -> Vec<Result<bool, Error>> {
    let mut results: Vec<Result<bool, Error>> = reads.iter().map(|_| Ok(false)).collect();
    let mut running = JoinSet::new();
    for (index, (object, buffer)) in reads.into_iter().enumerate() {
        running.spawn(async move { (index, object.read_rest(buffer).await) });
    }
    while let Some(read) = running.join_next().await {
        // A read that panicked stays a miss.
        if let Ok((index, read)) = read {
            results[index] = read.map(|()| true);
        }
    }
    results
}
