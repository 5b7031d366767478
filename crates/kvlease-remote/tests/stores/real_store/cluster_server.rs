//! Cluster of three servers without replicas, and what can be done to it behind the tier's back.

use std::{
    net::{Ipv4Addr, TcpListener},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use kvlease_remote::{Options, open};
use kvlease_testing::free_port;
use kvlease_tier::{Name, Tier};
use kvlease_tier_conformance::{Damage, NotPossible, Step, Store};
use redis::{AsyncTypedCommands, aio::MultiplexedConnection, cmd};
use tempfile::TempDir;
use tokio::time;

use crate::real_store::{
    process::Process,
    proxy::{Fault, Proxy},
    valkey_server::{NODE, PASSWORD, ValkeyServer, connect},
};

/// Servers of the cluster.
pub(crate) const SERVERS: usize = 3;

/// Slots of the protocol.
const SLOTS: usize = 16384;

/// Time within which the servers agree.
const AGREE_WITHIN: Duration = Duration::from_secs(60);

/// Server of the cluster, with the proxy that the others name in its place.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) process: Process,
    pub(crate) proxy: Proxy,
    bus_port: u16,
    _directory: TempDir,
}

/// Cluster of a test.
#[derive(Debug)]
pub(crate) struct ClusterServer {
    pub(crate) members: Vec<Member>,
}

impl Member {
    fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let announced = listener.local_addr().expect("a listener has an address").port();
        let bus_port = free_port();
        let process = Process::start(|port| {
            let mut command = Command::new("redis-server");
            command.args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
            command.args(["--save", "", "--appendonly", "no", "--requirepass", PASSWORD]);
            command.args(["--cluster-enabled", "yes", "--cluster-port", &bus_port.to_string()]);
            command.args(["--cluster-announce-port", &announced.to_string()]);
            command.args(["--cluster-announce-ip", "127.0.0.1"]);
            // One that is lost is lost alone.
            command.args(["--cluster-require-full-coverage", "no"]);
            // Longer than any of them is held up: the others would take it for lost.
            command.args(["--cluster-node-timeout", "30000"]);
            command.arg("--dir").arg(directory.path());
            command
        });
        let proxy = Proxy::start_on(listener, process.port);
        Self { process, proxy, bus_port, _directory: directory }
    }

    pub(crate) async fn connection(&self) -> MultiplexedConnection {
        let url = format!("redis://:{PASSWORD}@127.0.0.1:{}", self.process.port);
        connect(&url).await
    }
}

impl ClusterServer {
    /// Starts a cluster that has nothing.
    pub(crate) async fn start() -> Self {
        let members: Vec<_> = (0..SERVERS).map(|_| Member::start()).collect();
        for (number, member) in members.iter().enumerate() {
            let (first, last) = slots_of(number);
            let mut connection = member.connection().await;
            let epoch = cmd("CLUSTER").arg("SET-CONFIG-EPOCH").arg(number + 1).to_owned();
            let _: String = epoch.query_async(&mut connection).await.expect("it is new");
            let add = cmd("CLUSTER").arg("ADDSLOTSRANGE").arg(first).arg(last).to_owned();
            let _: String = add.query_async(&mut connection).await.expect("the slots are free");
            for other in &members[..number] {
                let mut meet = cmd("CLUSTER");
                meet.arg("MEET").arg("127.0.0.1").arg(other.process.port).arg(other.bus_port);
                let _: String = meet.query_async(&mut connection).await.expect("they meet");
            }
        }
        let cluster = Self { members };
        cluster.wait_until_agreed().await;
        cluster
    }

    async fn wait_until_agreed(&self) {
        let until = Instant::now() + AGREE_WITHIN;
        for member in &self.members {
            let mut connection = member.connection().await;
            loop {
                let info = cmd("CLUSTER").arg("INFO").to_owned();
                let info: String = info.query_async(&mut connection).await.expect("it answers");
                let agreed = ["cluster_state:ok", "cluster_slots_ok:16384", "known_nodes:3"];
                if agreed.iter().all(|line| info.contains(line)) {
                    break;
                }
                assert!(Instant::now() < until, "the servers do not agree: {info}");
                time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// URL of the tier, by the first server.
    pub(crate) fn url(&self) -> String {
        format!("redis-cluster://:{PASSWORD}@127.0.0.1:{}", self.members[0].proxy.port)
    }

    /// Opens a tier.
    pub(crate) fn tier(&self, options: &Options) -> Arc<dyn Tier> {
        open(&self.url(), options).expect("the URL is right")
    }

    /// Number of the server that has a name.
    pub(crate) async fn owner_of(&self, name: &str) -> usize {
        let key_slot = cmd("CLUSTER").arg("KEYSLOT").arg(name).to_owned();
        let mut connection = self.members[SERVERS - 1].connection().await;
        let slot: usize = key_slot.query_async(&mut connection).await.expect("it answers");
        let owns = |number: &usize| (slots_of(*number).0..=slots_of(*number).1).contains(&slot);
        (0..SERVERS).find(owns).expect("every slot has a server")
    }

    /// Sets or removes a value, on the server that has it.
    async fn put(&self, name: &str, value: Option<Vec<u8>>) {
        let mut connection = self.members[self.owner_of(name).await].connection().await;
        match value {
            Some(value) => connection.set(name, value).await.expect("it takes the value"),
            None => drop(connection.del(name).await.expect("it removes")),
        }
    }

    async fn get(&self, name: &str) -> Vec<u8> {
        let mut connection = self.members[self.owner_of(name).await].connection().await;
        crate::real_store::valkey_server::get(&mut connection, name).await
    }

    async fn pieces_of(&self, name: &Name) -> Vec<String> {
        let mut pieces = Vec::new();
        for member in &self.members {
            let mut connection = member.connection().await;
            pieces.extend(ValkeyServer::pieces_of(&mut connection, name).await);
        }
        pieces.sort_unstable();
        pieces
    }

    async fn change(&self, name: &Name, damage: Damage) {
        let value = ValkeyServer::value_of(name);
        let pieces = self.pieces_of(name).await;
        match damage {
            Damage::FlipBit => {
                let changed = pieces.last().unwrap_or(&value);
                let mut bytes = self.get(changed).await;
                *bytes.last_mut().expect("a value has bytes") ^= 1;
                self.put(changed, Some(bytes)).await;
            }
            Damage::Truncate if pieces.is_empty() => {
                let bytes = self.get(&value).await;
                self.put(&value, Some(bytes[..bytes.len() / 2].to_vec())).await;
            }
            Damage::Truncate => {
                for piece in &pieces[pieces.len() / 2..] {
                    self.put(piece, None).await;
                }
            }
            Damage::ReplaceBy(other) => {
                let others = self.pieces_of(&other).await;
                for from in [ValkeyServer::value_of(&other)].iter().chain(&others) {
                    let to = from.replacen(other.key.as_str(), name.key.as_str(), 1);
                    let bytes = self.get(from).await;
                    self.put(&to, Some(bytes)).await;
                }
            }
            Damage::Garbage => self.put(&value, Some(b"no object".repeat(100))).await,
        }
    }

    async fn configure(&self, key: &str, value: &str) {
        for member in &self.members {
            let mut connection = member.connection().await;
            let set = cmd("CONFIG").arg("SET").arg(key).arg(value).to_owned();
            let _: String = set.query_async(&mut connection).await.expect("it takes the setting");
        }
    }
}

/// The first and the last slot of a server.
fn slots_of(number: usize) -> (usize, usize) {
    (number * SLOTS / SERVERS, (number + 1) * SLOTS / SERVERS - 1)
}

/// Cluster that is started by the first use.
#[derive(Debug, Default)]
pub(crate) struct LazyCluster(tokio::sync::OnceCell<ClusterServer>);

impl LazyCluster {
    async fn get(&self) -> &ClusterServer {
        self.0.get_or_init(ClusterServer::start).await
    }
}

impl Store for LazyCluster {
    fn open(&self) -> Step<'_, Arc<dyn Tier>> {
        Box::pin(async { self.get().await.tier(&Options::new(NODE)) })
    }

    fn secrets(&self) -> Result<Vec<String>, NotPossible> {
        Ok(vec![PASSWORD.to_owned()])
    }

    fn damage<'a>(&'a self, name: &'a Name, change: Damage) -> Step<'a, Result<(), NotPossible>> {
        Box::pin(async {
            self.get().await.change(name, change).await;
            Ok(())
        })
    }

    fn stop(&self) -> Step<'_, Result<(), NotPossible>> {
        Box::pin(async {
            self.get().await.members.iter().for_each(|member| member.process.stop());
            Ok(())
        })
    }

    fn start(&self) -> Step<'_, Result<(), NotPossible>> {
        Box::pin(async {
            self.get().await.members.iter().for_each(|member| member.process.resume());
            Ok(())
        })
    }

    fn slow(&self, delay: Duration) -> Step<'_, Result<(), NotPossible>> {
        Box::pin(async move {
            let fault = if delay.is_zero() { Fault::None } else { Fault::Delay(delay) };
            for member in &self.get().await.members {
                member.proxy.set(fault.clone());
            }
            Ok(())
        })
    }

    fn fill(&self) -> Step<'_, Result<(), NotPossible>> {
        Box::pin(async {
            self.get().await.configure("maxmemory", "1").await;
            Ok(())
        })
    }

    fn relieve(&self) -> Step<'_, Result<(), NotPossible>> {
        Box::pin(async {
            self.get().await.configure("maxmemory", "0").await;
            Ok(())
        })
    }
}
