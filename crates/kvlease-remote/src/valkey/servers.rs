//! Servers of a tier, and which of them has a name.

use std::sync::Arc;

use bytes::Bytes;
use redis::{Cmd, RedisError, Value};

use super::{
    access::Access,
    answer::{Answer, QueryError},
    call::{Call, Purpose},
    cluster::Cluster,
    fetch::Fetch,
    node::Node,
    set::Set,
};
use crate::location::ValkeyLocation;

/// Servers of a tier.
#[derive(Debug)]
pub(super) enum Servers {
    Single(Arc<Node>),
    Cluster(Cluster),
}

impl Servers {
    /// The servers at a place, not connected yet.
    pub(super) fn new(location: &ValkeyLocation, access: Access) -> Result<Self, RedisError> {
        if location.cluster {
            return Ok(Self::Cluster(Cluster::new(location.servers.clone(), access)));
        }
        Ok(Self::Single(Arc::new(Node::new(&access, location.servers[0].clone())?)))
    }

    /// Sends a command on a name to the server that has it.
    pub(super) async fn query(
        &self,
        purpose: Purpose,
        name: &str,
        command: &Cmd,
    ) -> Result<Value, QueryError> {
        self.call(name, Call::Query(purpose, command)).await?.value()
    }

    /// Stores a value on the server that has its name.
    pub(super) async fn store(&self, set: &Set) -> Result<(), QueryError> {
        match self.call(set.name(), Call::Store(set)).await?.value()? {
            Value::Okay => Ok(()),
            _ => Err(QueryError::Unexpected),
        }
    }

    /// Fetches a value from the server that has its name, in parts; `None` for no value.
    pub(super) async fn fetch(
        &self,
        purpose: Purpose,
        fetch: &Fetch,
    ) -> Result<Option<Vec<Bytes>>, QueryError> {
        self.call(fetch.name(), Call::Fetch(purpose, fetch)).await?.parts()
    }

    async fn call(&self, name: &str, call: Call<'_>) -> Result<Answer, QueryError> {
        match self {
            Self::Single(node) => node.call(call, false).await,
            Self::Cluster(cluster) => cluster.call(name, call).await,
        }
    }

    /// All servers that have names, in a fixed order.
    pub(super) async fn all(&self) -> Result<Vec<Arc<Node>>, QueryError> {
        match self {
            Self::Single(node) => Ok(vec![Arc::clone(node)]),
            Self::Cluster(cluster) => cluster.all().await,
        }
    }
}
