//! Cluster: every name has a slot, and every slot a server.
//!
//! Each server has connections and deadlines of its own, and calls go by the map of slots that is
//! known. The map is read again in the background once a server is lost or a slot has moved. So a
//! server that is lost makes no call to another one wait. The cluster client of the library has one
//! task for all servers, which waits while it connects to a lost one.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use redis::Cmd;

use super::{
    access::Access,
    answer::{Answer, QueryError},
    call::{Call, Purpose},
    node::Node,
    slots::{SLOTS, SlotRange, read_slots, slot},
};
use crate::location::Server;

/// The shortest time between two readings of the map.
const REFRESH_AFTER: Duration = Duration::from_millis(500);

/// Servers that a call is sent on to.
const REDIRECTS_MAX: usize = 4;

/// Servers that are asked for the map, at the same time.
const ASKED_MAX: usize = 8;

/// Cluster of servers. Clones share everything.
#[derive(Clone, Debug)]
pub(super) struct Cluster(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    access: Access,
    /// The servers of the URL.
    seeds: Vec<Server>,
    /// All servers that were named since the map was read.
    nodes: Mutex<HashMap<Server, Arc<Node>>>,
    map: RwLock<Arc<Map>>,
    /// Held by the call that reads the map.
    reading: tokio::sync::Mutex<Option<Instant>>,
    /// True while a task of the background reads the map.
    is_refreshing: AtomicBool,
}

/// Server of each slot.
#[derive(Debug, Default)]
struct Map {
    /// By the last slot of a range: its first slot, and the server.
    ranges: BTreeMap<u16, (u16, Arc<Node>)>,
}

impl Map {
    fn find(&self, slot: u16) -> Option<&Arc<Node>> {
        let (_, (first, node)) = self.ranges.range(slot..).next()?;
        (*first <= slot).then_some(node)
    }
}

impl Cluster {
    /// The cluster of these servers and others, not connected yet.
    pub(super) fn new(seeds: Vec<Server>, access: Access) -> Self {
        Self(Arc::new(Shared {
            access,
            seeds,
            nodes: Mutex::default(),
            map: RwLock::default(),
            reading: tokio::sync::Mutex::default(),
            is_refreshing: AtomicBool::new(false),
        }))
    }

    /// Makes a call on a name with the server that has it, and goes on to where that one sends it.
    pub(super) async fn call(&self, name: &str, call: Call<'_>) -> Result<Answer, QueryError> {
        let mut node = self.node_of(slot(name)).await?;
        let mut asking = false;
        for _ in 0..REDIRECTS_MAX {
            match node.call(call, asking).await {
                Err(QueryError::Moved(server)) => {
                    self.refresh();
                    (node, asking) = (self.node(&server)?, false);
                }
                Err(QueryError::Ask(server)) => (node, asking) = (self.node(&server)?, true),
                Err(error @ QueryError::Unavailable(_)) => {
                    self.refresh();
                    return Err(error);
                }
                answer => return answer,
            }
        }
        Err(QueryError::unavailable(node.server(), "it is not where the slot is".to_owned()))
    }

    /// All servers that have slots, in a fixed order.
    pub(super) async fn all(&self) -> Result<Vec<Arc<Node>>, QueryError> {
        let map = self.known_map().await?;
        let nodes = map.ranges.values().map(|(_, node)| (node.server().to_string(), node));
        Ok(nodes.collect::<BTreeMap<_, _>>().into_values().cloned().collect())
    }

    async fn node_of(&self, slot: u16) -> Result<Arc<Node>, QueryError> {
        let map = self.known_map().await?;
        map.find(slot).cloned().ok_or_else(|| {
            self.refresh();
            QueryError::unavailable(&self.0.seeds[0], format!("no server has slot {slot}"))
        })
    }

    /// The map that is known; the first call reads it.
    async fn known_map(&self) -> Result<Arc<Map>, QueryError> {
        let map = self.map();
        if !map.ranges.is_empty() {
            return Ok(map);
        }
        self.0.read_map().await?;
        Ok(self.map())
    }

    fn map(&self) -> Arc<Map> {
        Arc::clone(&self.0.map.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn node(&self, server: &Server) -> Result<Arc<Node>, QueryError> {
        self.0.node(server)
    }

    /// Reads the map again in the background.
    fn refresh(&self) {
        if self.0.is_refreshing.swap(true, Ordering::AcqRel) {
            return;
        }
        let shared = Arc::clone(&self.0);
        tokio::spawn(async move {
            // The next call on the lost server tries again.
            if let Err(error) = shared.read_map().await {
                tracing::debug!("the map of the cluster cannot be read: {error}");
            }
            shared.is_refreshing.store(false, Ordering::Release);
        });
    }
}

impl Shared {
    /// Asks servers for the map and takes the first answer.
    async fn read_map(&self) -> Result<(), QueryError> {
        let mut last = self.reading.lock().await;
        if last.is_some_and(|at| at.elapsed() < REFRESH_AFTER) {
            return Ok(());
        }
        let mut answers: FuturesUnordered<_> =
            self.asked()?.into_iter().map(ask_for_slots).collect();
        let mut failure = None;
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(ranges) => {
                    self.take_map(ranges)?;
                    *last = Some(Instant::now());
                    return Ok(());
                }
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or(QueryError::Unexpected))
    }

    /// The servers to ask: some that are known, and those of the URL.
    fn asked(&self) -> Result<Vec<Arc<Node>>, QueryError> {
        let known: Vec<_> = self.nodes().values().take(ASKED_MAX).cloned().collect();
        let unknown = self.seeds.iter().filter(|seed| known.iter().all(|n| n.server() != *seed));
        let seeds = unknown.take(ASKED_MAX).map(|seed| self.node(seed));
        let seeds = seeds.collect::<Result<Vec<_>, _>>()?;
        Ok([known, seeds].concat())
    }

    /// Takes a map. Servers that are not in it are forgotten.
    fn take_map(&self, ranges: Vec<SlotRange>) -> Result<(), QueryError> {
        let mut map = Map::default();
        for (first, last, server) in ranges {
            map.ranges.insert(last.min(SLOTS - 1), (first, self.node(&server)?));
        }
        self.nodes().retain(|_, node| map.ranges.values().any(|(_, used)| Arc::ptr_eq(used, node)));
        *self.map.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(map);
        Ok(())
    }

    fn node(&self, server: &Server) -> Result<Arc<Node>, QueryError> {
        let mut nodes = self.nodes();
        if let Some(node) = nodes.get(server) {
            return Ok(Arc::clone(node));
        }
        let node = Node::new(&self.access, server.clone());
        let node = Arc::new(node.map_err(|error| QueryError::of(server, &error))?);
        nodes.insert(server.clone(), Arc::clone(&node));
        Ok(node)
    }

    fn nodes(&self) -> std::sync::MutexGuard<'_, HashMap<Server, Arc<Node>>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn ask_for_slots(node: Arc<Node>) -> Result<Vec<SlotRange>, QueryError> {
    let mut command = Cmd::new();
    command.arg("CLUSTER").arg("SLOTS");
    let answer = node.query(Purpose::LookUp, &command, false).await?;
    let ranges = read_slots(node.server(), &answer).filter(|ranges| !ranges.is_empty());
    ranges.ok_or_else(|| QueryError::unavailable(node.server(), "it has no slots".to_owned()))
}
