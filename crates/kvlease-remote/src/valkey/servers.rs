//! Servers of a tier, and which of them has a name.

use std::sync::Arc;

use redis::{Cmd, RedisError, Value};

use super::{
    answer::QueryError,
    cluster::Cluster,
    node::{Access, Node, Purpose},
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
        Ok(Self::Single(Arc::new(access.node(location.servers[0].clone())?)))
    }

    /// Sends a command on a name to the server that has it.
    pub(super) async fn query(
        &self,
        purpose: Purpose,
        name: &str,
        command: &Cmd,
    ) -> Result<Value, QueryError> {
        match self {
            Self::Single(node) => node.query(purpose, command, false).await,
            Self::Cluster(cluster) => cluster.query(purpose, name, command).await,
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
