//! One client process of the sweep: it works for a time that the parent gives, and says how much it did.

use std::{
    io::{self, BufRead, Write, stdin, stdout},
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::Args;
use kvlease_client::{Address, BucketName, Key};
use serde::{Deserialize, Serialize};

use super::super::{lane::LaneClient, session::LanePlace, wire::failed};
use crate::failure::Failure;

/// Objects that every process reads.
pub(super) const OBJECTS: usize = 1024;

/// Length of each.
pub(super) const OBJECT_LEN: usize = 4 << 10;

/// Kind of the keys of these objects.
pub(super) const HOT: &str = "hot";

/// Calls between two looks at the clock.
const CALLS: usize = 16;

/// Arguments of `bench-client`, which are the parent's to give.
#[derive(Args, Debug)]
pub(crate) struct WorkerArgs {
    #[arg(long)]
    socket: PathBuf,
    #[arg(long)]
    address: String,
    #[arg(long)]
    bucket_name: String,
    #[arg(long)]
    key_prefix: String,
    #[arg(long)]
    connections: usize,
    /// Number of the process, which decides where it begins to read.
    #[arg(long)]
    number: usize,
}

/// Work of a process.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub(super) enum Operation {
    /// Leases a hot object, copies it, and releases it.
    Get,
    /// Copies a hot object by the published index.
    Read,
    /// Stores an object of its own.
    Put,
}

/// A line to a process: what it does, and for how long.
#[derive(Clone, Copy, Serialize, Deserialize, Debug)]
pub(super) struct Order {
    pub(super) operation: Operation,
    pub(super) duration: Duration,
}

/// A line of a process.
#[derive(Clone, Copy, Serialize, Deserialize, Debug)]
pub(super) enum Line {
    /// It is connected and waits for an order.
    Ready,
    /// Report on an order that was followed.
    Done {
        /// Calls.
        calls: u64,
        /// Time that they took.
        taken: Duration,
    },
}

/// Connects and follows orders until the parent closes the pipe.
pub(crate) fn run(args: WorkerArgs) -> Result<(), Failure> {
    let clients = open(&args)?;
    let hot = clients[0].keys(HOT, 0..OBJECTS);
    say(Line::Ready).map_err(failed)?;
    let mut stored = 0;
    for line in stdin().lock().lines() {
        let order: Order =
            serde_json::from_str(&line.map_err(failed)?).map_err(|error| failed(error.into()))?;
        let mut work = Work { clients: &clients, hot: &hot, number: args.number, stored };
        let (calls, taken) = work.follow(order).map_err(failed)?;
        stored = work.stored;
        say(Line::Done { calls, taken }).map_err(failed)?;
    }
    Ok(())
}

fn open(args: &WorkerArgs) -> Result<Vec<LaneClient>, Failure> {
    let address: Address = args.address.parse().map_err(kvlease_client::Error::from)?;
    let bucket = BucketName::new(args.bucket_name.as_str());
    let bucket = bucket.map_err(|error| failed(io::Error::other(error.to_string())))?;
    let place = LanePlace {
        address,
        bucket,
        socket: args.socket.clone(),
        key_prefix: args.key_prefix.clone(),
    };
    let open = |_| {
        let opened = LaneClient::open(place.clone())?;
        opened.map_err(|why| failed(io::Error::other(why)))
    };
    (0..args.connections.max(1)).map(open).collect()
}

/// One order under way.
struct Work<'a> {
    /// Clients with a connection each, which take turns.
    clients: &'a [LaneClient],
    hot: &'a [Key],
    number: usize,
    /// Objects that were stored so far.
    stored: usize,
}

impl Work<'_> {
    fn follow(&mut self, order: Order) -> io::Result<(u64, Duration)> {
        let (mut calls, mut room) = (0, vec![0; OBJECT_LEN]);
        let started = Instant::now();
        while started.elapsed() < order.duration {
            for _ in 0..CALLS {
                self.call(order.operation, calls, &mut room)?;
                calls += 1;
            }
        }
        Ok((calls as u64, started.elapsed()))
    }

    fn call(&mut self, operation: Operation, call: usize, room: &mut [u8]) -> io::Result<()> {
        let client = &self.clients[call % self.clients.len()];
        // An odd stride apart, so that processes meet as rarely as can be.
        let hot = &self.hot[(call + self.number * 331) % OBJECTS];
        match operation {
            Operation::Get => {
                let leases = client.acquire(std::slice::from_ref(hot))?;
                leases.iter().try_for_each(|lease| client.copy(lease, room))
            }
            Operation::Read => client.read(hot, room),
            Operation::Put => {
                let kind = format!("own-{}", std::process::id());
                let keys = client.keys(&kind, self.stored..self.stored + 1);
                self.stored += 1;
                client.put(&keys, OBJECT_LEN, |_| &[9; OBJECT_LEN])
            }
        }
    }
}

fn say(line: Line) -> io::Result<()> {
    let mut out = stdout().lock();
    serde_json::to_writer(&mut out, &line)?;
    writeln!(out)?;
    out.flush()
}
