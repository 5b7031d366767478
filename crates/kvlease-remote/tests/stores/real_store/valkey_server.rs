//! Single Valkey or Redis server, and what can be done to it behind the tier's back.

use std::{process::Command, sync::Arc, time::Duration};

use kvlease_remote::{Options, open};
use kvlease_tier::{Name, Tier};
use kvlease_tier_conformance::{Damage, NotPossible, Step, Store};
use redis::{AsyncConnectionConfig, AsyncTypedCommands, aio::MultiplexedConnection};
use tempfile::TempDir;

use crate::real_store::{
    process::Process,
    proxy::{Fault, Proxy},
};

/// Password of the servers, which no output may show.
pub(crate) const PASSWORD: &str = "hunter2-of-the-server";

/// Name of the node that the tests are.
pub(crate) const NODE: &str = "test";

/// Server of a test, with a proxy in front of it.
#[derive(Debug)]
pub(crate) struct ValkeyServer {
    pub(crate) process: Process,
    pub(crate) proxy: Proxy,
    directory: TempDir,
}

/// A connection past the tier. The library's own time limits end it on a machine that holds the server up.
pub(super) async fn connect(url: &str) -> MultiplexedConnection {
    let client = redis::Client::open(url).expect("the URL is right");
    let patient =
        AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
    let connection = client.get_multiplexed_async_connection_with_config(&patient).await;
    connection.expect("the server answers")
}

impl ValkeyServer {
    /// Starts a server that has nothing.
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let process = Process::start(|port| command(port, &directory));
        let proxy = Proxy::start(process.port);
        Self { process, proxy, directory }
    }

    /// Starts the server again after it was killed.
    pub(crate) fn restart(&mut self) {
        let port = self.process.port;
        self.process.wait();
        let process = Process::start_at(port, command(port, &self.directory));
        self.process = process.expect("the port is free again");
    }

    /// URL of the tier, through the proxy.
    pub(crate) fn url(&self) -> String {
        format!("redis://:{PASSWORD}@127.0.0.1:{}", self.proxy.port)
    }

    /// Opens a tier.
    pub(crate) fn tier(&self) -> Arc<dyn Tier> {
        open(&self.url(), &Options::new(NODE)).expect("the URL is right")
    }

    /// Opens a tier of a node.
    pub(crate) fn tier_of(&self, node: &str) -> Arc<dyn Tier> {
        open(&self.url(), &Options::new(node)).expect("the URL is right")
    }

    /// A connection of the test's own.
    pub(crate) async fn connection(&self) -> MultiplexedConnection {
        let url = format!("redis://:{PASSWORD}@127.0.0.1:{}", self.process.port);
        connect(&url).await
    }

    /// Name of the value of an object that needs no escapes.
    pub(crate) fn value_of(name: &Name) -> String {
        format!("kvlease/v1/{}/{}", name.bucket, name.key)
    }

    /// Names of the pieces of an object that needs no escapes, in order.
    pub(crate) async fn pieces_of(
        connection: &mut MultiplexedConnection,
        name: &Name,
    ) -> Vec<String> {
        let pattern = format!("kvlease/v1p/{}/{}/*", name.bucket, name.key);
        let mut pieces = connection.keys(pattern).await.expect("the server answers");
        pieces.sort_unstable();
        pieces
    }

    async fn configure(&self, key: &str, value: &str) {
        let mut connection = self.connection().await;
        let set = redis::cmd("CONFIG").arg("SET").arg(key).arg(value).to_owned();
        let _: String = set.query_async(&mut connection).await.expect("the server takes it");
    }
}

fn command(port: u16, directory: &TempDir) -> Command {
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
    command.args(["--save", "", "--appendonly", "no", "--requirepass", PASSWORD]);
    command.arg("--dir").arg(directory.path());
    command
}

/// Value that is read as it is.
pub(crate) async fn get(connection: &mut MultiplexedConnection, name: &str) -> Vec<u8> {
    let mut command = redis::cmd("GET");
    command.arg(name).query_async(connection).await.expect("the value is there")
}

async fn flip(connection: &mut MultiplexedConnection, name: &str) {
    let mut value = get(connection, name).await;
    *value.last_mut().expect("a value has bytes") ^= 1;
    connection.set(name, value).await.expect("the server takes the value");
}

/// Changes what is under a name, in a server that has all of it.
pub(crate) async fn damage(connection: &mut MultiplexedConnection, name: &Name, damage: Damage) {
    let value = ValkeyServer::value_of(name);
    let pieces = ValkeyServer::pieces_of(connection, name).await;
    match damage {
        Damage::FlipBit => flip(connection, pieces.last().unwrap_or(&value)).await,
        Damage::Truncate if pieces.is_empty() => {
            let whole = get(connection, &value).await;
            let half = &whole[..whole.len() / 2];
            connection.set(value, half).await.expect("the server takes the value");
        }
        Damage::Truncate => {
            connection.del(&pieces[pieces.len() / 2..]).await.expect("the server removes");
        }
        Damage::ReplaceBy(other) => {
            for piece in pieces {
                connection.del(piece).await.expect("the server removes");
            }
            let others = ValkeyServer::pieces_of(connection, &other).await;
            for from in [ValkeyServer::value_of(&other)].iter().chain(&others) {
                let to = from.replacen(other.key.as_str(), name.key.as_str(), 1);
                let copy = redis::cmd("COPY").arg(from).arg(to).arg("REPLACE").to_owned();
                let _: i64 = copy.query_async(connection).await.expect("the server copies");
            }
        }
        Damage::Garbage => {
            connection.set(value, "no object".repeat(100)).await.expect("the server takes it");
        }
    }
}

impl Store for ValkeyServer {
    fn open(&self) -> Step<'_, Arc<dyn Tier>> {
        Box::pin(async { self.tier() })
    }

    fn secrets(&self) -> Result<Vec<String>, NotPossible> {
        Ok(vec![PASSWORD.to_owned()])
    }

    fn damage<'a>(&'a self, name: &'a Name, change: Damage) -> Step<'a, Result<(), NotPossible>> {
        Box::pin(async {
            damage(&mut self.connection().await, name, change).await;
            Ok(())
        })
    }

    fn stop(&self) -> Step<'_, Result<(), NotPossible>> {
        self.process.stop();
        Box::pin(async { Ok(()) })
    }

    fn start(&self) -> Step<'_, Result<(), NotPossible>> {
        self.process.resume();
        Box::pin(async { Ok(()) })
    }

    fn slow(&self, delay: Duration) -> Step<'_, Result<(), NotPossible>> {
        let fault = if delay.is_zero() { Fault::None } else { Fault::Delay(delay) };
        self.proxy.set(fault);
        Box::pin(async { Ok(()) })
    }

    fn fill(&self) -> Step<'_, Result<(), NotPossible>> {
        Box::pin(async {
            self.configure("maxmemory", "1").await;
            Ok(())
        })
    }

    fn relieve(&self) -> Step<'_, Result<(), NotPossible>> {
        Box::pin(async {
            self.configure("maxmemory", "0").await;
            Ok(())
        })
    }
}
