//! The client processes: started, killed, replaced, counted.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, ensure};

use super::{
    client::Role,
    ledger::{self, Activity, Count},
};
use crate::{Daemon, random::Random};

/// What all clients of a soak are told.
#[derive(Debug)]
pub(super) struct Orders {
    pub(super) folder: PathBuf,
    pub(super) seed: u64,
    pub(super) capacity: u64,
    pub(super) ttl_max_ms: u64,
    pub(super) writers: usize,
    pub(super) readers: usize,
    /// How many of a hundred clients take the fast lane.
    pub(super) lane_percent: usize,
}

/// How many clients were killed, by what they were in the middle of.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Kills {
    pub(super) in_put: u64,
    pub(super) in_read: u64,
    pub(super) in_pause: u64,
}

/// The clients. Dropping it kills them.
#[derive(Debug)]
pub(super) struct Fleet {
    orders: Orders,
    url: String,
    segment: String,
    socket: PathBuf,
    clients: Vec<Client>,
    parties: u64,
    kills: Kills,
}

#[derive(Debug)]
struct Client {
    role: Role,
    /// Number among those of its role.
    place: usize,
    process: Child,
}

impl Fleet {
    pub(super) fn start(orders: Orders, daemon: &Daemon) -> anyhow::Result<Self> {
        let writers = (0..orders.writers).map(|place| (Role::Writer, place));
        let readers = (0..orders.readers).map(|place| (Role::Reader, place));
        let places: Vec<_> = writers.chain(readers).collect();
        let mut fleet = Self {
            orders,
            url: format!("http://{}", daemon.address()),
            segment: daemon.segment().name().to_owned(),
            socket: daemon.segment().socket_path(),
            clients: Vec::new(),
            parties: 0,
            kills: Kills::default(),
        };
        for (role, place) in places {
            let process = fleet.launch(role, place)?;
            fleet.clients.push(Client { role, place, process });
        }
        Ok(fleet)
    }

    /// Kills some client, whatever it is doing, and starts another in its place.
    pub(super) fn kill_one(&mut self, random: &mut Random) -> anyhow::Result<()> {
        let victim = random.below(self.clients.len() as u64) as usize;
        let client = &mut self.clients[victim];
        client.process.kill()?;
        client.process.wait()?;
        let (role, place) = (client.role, client.place);
        // One that has not got to its ledger yet was in the middle of nothing.
        match ledger::read(&self.ledger(role, place)).map_or(Activity::Pause, |(doing, _)| doing) {
            Activity::Put => self.kills.in_put += 1,
            Activity::Read => self.kills.in_read += 1,
            Activity::Pause => self.kills.in_pause += 1,
        }
        self.clients[victim].process = self.launch(role, place)?;
        Ok(())
    }

    /// Fails if a client has ended by itself.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        for client in &mut self.clients {
            let status = client.process.try_wait()?;
            let (role, place) = (client.role, client.place);
            ensure!(status.is_none(), "a client ended: {role:?} {place}, status=`{status:?}`");
        }
        Ok(())
    }

    /// Ends all clients and adds up what they have counted.
    pub(super) fn stop(mut self) -> anyhow::Result<(Vec<u64>, Kills)> {
        self.check()?;
        self.kill_all();
        let mut totals = vec![0; Count::ALL.len()];
        for client in &self.clients {
            let path = self.ledger(client.role, client.place);
            let (_, counts) = ledger::read(&path).context("a ledger cannot be read")?;
            for (total, count) in totals.iter_mut().zip(counts) {
                *total += count;
            }
        }
        Ok((totals, self.kills))
    }

    fn kill_all(&mut self) {
        for client in &mut self.clients {
            // One that is dead already is what is wanted.
            let _ = client.process.kill();
            let _ = client.process.wait();
        }
    }

    fn launch(&mut self, role: Role, place: usize) -> anyhow::Result<Child> {
        let Orders { folder, seed, capacity, ttl_max_ms, writers, .. } = &self.orders;
        let mut command = Command::new(env::current_exe()?);
        command.arg("client").arg(role_name(role));
        command.args(["--url", &self.url, "--segment", &self.segment]);
        command.arg("--folder").arg(folder).args(["--ledger", &ledger_name(role, place)]);
        for (flag, value) in [
            ("--seed", *seed),
            ("--capacity", *capacity),
            ("--ttl-max-ms", *ttl_max_ms),
            ("--party", self.parties),
            ("--place", place as u64),
            ("--writers", *writers as u64),
        ] {
            command.args([flag, &value.to_string()]);
        }
        if takes_lane(place, self.orders.lane_percent) {
            command.arg("--socket").arg(&self.socket);
        }
        self.parties += 1;
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.spawn().context("cannot start a client")
    }

    fn ledger(&self, role: Role, place: usize) -> PathBuf {
        Path::new(&self.orders.folder).join(ledger_name(role, place))
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.kill_all();
    }
}

/// Whether the client in this place takes the fast lane: so many of each hundred do, evenly spread.
/// The one that replaces a killed client goes the same way.
fn takes_lane(place: usize, percent: usize) -> bool {
    (place + 1) * percent / 100 > place * percent / 100
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Writer => "writer",
        Role::Reader => "reader",
    }
}

fn ledger_name(role: Role, place: usize) -> String {
    format!("{}-{place}", role_name(role))
}
