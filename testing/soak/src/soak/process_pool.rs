//! Process pool: the client processes, started, killed, replaced and counted.

use std::{
    env,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, ensure};
use clap::ValueEnum;
use kvlease_testing::Draws;

use super::{
    client::Role,
    progress::{self, Activity},
};
use crate::{
    clients::{Place, Way},
    counts::Count,
};

/// Settings of all clients of a soak.
#[derive(Debug)]
pub(super) struct Orders {
    pub(super) folder: PathBuf,
    pub(super) seed: u64,
    pub(super) capacity: u64,
    pub(super) ttl_max_ms: u64,
    pub(super) writers: usize,
    pub(super) readers: usize,
    /// Share of clients that take the fast lane, in percent.
    pub(super) lane_percent: usize,
}

/// Number of killed clients, by their activity.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Kills {
    pub(super) in_put: u64,
    pub(super) in_read: u64,
    pub(super) in_pause: u64,
}

/// Client processes. Dropping the pool kills them.
#[derive(Debug)]
pub(super) struct ProcessPool {
    orders: Orders,
    place: Place,
    clients: Vec<Client>,
    /// Number of processes that were started.
    parties: u64,
    kills: Kills,
}

#[derive(Debug)]
struct Client {
    role: Role,
    /// Number among those of its role.
    number: usize,
    process: Child,
}

impl ProcessPool {
    pub(super) fn start(orders: Orders, place: Place) -> anyhow::Result<Self> {
        let writers = (0..orders.writers).map(|number| (Role::Writer, number));
        let readers = (0..orders.readers).map(|number| (Role::Reader, number));
        let numbers: Vec<_> = writers.chain(readers).collect();
        let (clients, kills) = (Vec::new(), Kills::default());
        let mut pool = Self { orders, place, clients, parties: 0, kills };
        for (role, number) in numbers {
            let process = pool.launch(role, number)?;
            pool.clients.push(Client { role, number, process });
        }
        Ok(pool)
    }

    /// Kills some client, whatever it is doing, and starts another in its place.
    pub(super) fn kill_one(&mut self, draws: &mut Draws) -> anyhow::Result<()> {
        let victim = draws.index(self.clients.len());
        let client = &mut self.clients[victim];
        client.process.kill()?;
        client.process.wait()?;
        let (role, number) = (client.role, client.number);
        // One without a progress file yet had no activity.
        let activity = progress::read(&self.progress_file(role, number));
        match activity.map_or(Activity::Pause, |(activity, _)| activity) {
            Activity::Put => self.kills.in_put += 1,
            Activity::Read => self.kills.in_read += 1,
            Activity::Pause => self.kills.in_pause += 1,
        }
        self.clients[victim].process = self.launch(role, number)?;
        Ok(())
    }

    /// Error if a client has ended by itself.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        for client in &mut self.clients {
            let status = client.process.try_wait()?;
            let (role, number) = (client.role, client.number);
            ensure!(status.is_none(), "a client ended: {role:?} {number}, status=`{status:?}`");
        }
        Ok(())
    }

    /// Ends all clients and adds up their counts.
    pub(super) fn stop(mut self) -> anyhow::Result<(Vec<u64>, Kills)> {
        self.check()?;
        self.kill_all();
        let mut totals = vec![0; Count::ALL.len()];
        for client in &self.clients {
            let path = self.progress_file(client.role, client.number);
            let (_, counts) = progress::read(&path).context("a progress file cannot be read")?;
            for (total, count) in totals.iter_mut().zip(counts) {
                *total += count;
            }
        }
        Ok((totals, self.kills))
    }

    fn kill_all(&mut self) {
        for client in &mut self.clients {
            // An error means that it is dead already, which is the aim.
            let _ = client.process.kill();
            let _ = client.process.wait();
        }
    }

    fn launch(&mut self, role: Role, number: usize) -> anyhow::Result<Child> {
        let Orders { folder, seed, capacity, ttl_max_ms, writers, lane_percent, .. } = &self.orders;
        let way = if takes_lane(number, *lane_percent) { Way::Lane } else { Way::Http };
        let mut command = Command::new(env::current_exe()?);
        command.args(["client", &name(&role), "--way", &name(&way)]);
        command.args(self.place.arguments());
        command.arg("--folder").arg(folder).args(["--progress", &file_name(role, number)]);
        for (flag, value) in [
            ("--seed", *seed),
            ("--capacity", *capacity),
            ("--ttl-max-ms", *ttl_max_ms),
            ("--party", self.parties),
            ("--number", number as u64),
            ("--writers", *writers as u64),
        ] {
            command.args([flag, &value.to_string()]);
        }
        self.parties += 1;
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.spawn().context("cannot start a client")
    }

    fn progress_file(&self, role: Role, number: usize) -> PathBuf {
        self.orders.folder.join(file_name(role, number))
    }
}

impl Drop for ProcessPool {
    fn drop(&mut self) {
        self.kill_all();
    }
}

/// True if the client with this number takes the fast lane: `percent` of each hundred do, evenly
/// spread. The one that replaces a killed client goes the same way.
fn takes_lane(number: usize, percent: usize) -> bool {
    (number + 1) * percent / 100 > number * percent / 100
}

fn file_name(role: Role, number: usize) -> String {
    format!("{}-{number}", name(&role))
}

/// Name of a value on the command line.
fn name(value: &impl ValueEnum) -> String {
    let value = value.to_possible_value().expect("no value is hidden");
    value.get_name().to_owned()
}
