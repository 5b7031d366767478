//! The table of calls: latencies and rates of requests that move no object, next to bare round
//! trips of the same run. Those are most of a call, and differ tenfold between machines that are
//! busy, idle and virtual.

use std::{
    io,
    time::{Duration, Instant},
};

use kvlease_client::LeaseReply;

use super::{
    clients::together,
    echo,
    figures::{median, percentile_us},
    report::CallRow,
    session::Session,
    wire::{Connection, expect, failed},
};
use crate::failure::Failure;

/// The fewest operations of all clients together in a round.
const ROUND_OPERATIONS: usize = 4096;

/// The fewest of them for each client.
const CLIENT_OPERATIONS_MIN: usize = 128;

/// Length of the object that is leased: its bytes are not read.
const OBJECT_LEN: usize = 4096;

/// Number of operations to measure.
pub(super) const STEPS: usize = Operation::ALL.len();

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Operation {
    /// Two round trips that no daemon has a part in.
    BareTwice,
    /// A lease and its release, one after the other.
    LeaseRelease,
    /// A lease on a key that is not there.
    Miss,
    /// A `HEAD` of an object.
    Exists,
}

impl Operation {
    const ALL: [Self; 4] = [Self::BareTwice, Self::LeaseRelease, Self::Miss, Self::Exists];

    fn name(self) -> &'static str {
        match self {
            Self::BareTwice => "bare TCP, twice",
            Self::LeaseRelease => "lease+release",
            Self::Miss => "miss",
            Self::Exists => "exists",
        }
    }
}

/// Measures every operation with this many clients.
pub(super) fn measure(session: &Session, clients: usize) -> Result<Vec<CallRow>, Failure> {
    let mut connections = session.connect(clients)?;
    let object = format!("{}-call-{clients}", session.path_prefix);
    connections[0].put(&object, &[7; OBJECT_LEN]).map_err(failed)?;
    let echo = echo::serve().map_err(failed)?;
    let bare = (0..clients).map(|_| Connection::open(&echo));
    let mut bare = bare.collect::<io::Result<Vec<_>>>().map_err(failed)?;
    let mut rows = Vec::with_capacity(STEPS);
    for operation in Operation::ALL {
        session.progress.set_message(format!("{} x {clients}", operation.name()));
        let connections_used = match operation {
            Operation::BareTwice => &mut bare,
            _ => &mut connections,
        };
        let row = measure_operation(session, operation, &object, connections_used);
        if row.is_err() {
            // The first failure is reported; that the object stays is not.
            let _ = connections[0].call("DELETE", &object);
        }
        rows.push(row?);
        session.progress.inc(1);
    }
    connections[0].call("DELETE", &object).map_err(failed)?;
    Ok(rows)
}

fn measure_operation(
    session: &Session,
    operation: Operation,
    object: &str,
    connections: &mut [Connection],
) -> Result<CallRow, Failure> {
    let clients = connections.len();
    let each = (ROUND_OPERATIONS / clients).max(CLIENT_OPERATIONS_MIN);
    let (mut rates, mut p50s, mut p99s) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..=session.rounds {
        session.check_interrupted()?;
        let (wall, latencies) = together(&mut *connections, |_, connection| {
            (0..each).map(|_| time(operation, object, connection)).collect::<io::Result<Vec<_>>>()
        })
        .map_err(failed)?;
        // The first round warms up connections.
        if number > 0 {
            let mut latencies: Vec<Duration> = latencies.into_iter().flatten().collect();
            latencies.sort_unstable();
            rates.push((clients * each) as f64 / wall.as_secs_f64().max(1e-9));
            p50s.push(percentile_us(&latencies, 0.5));
            p99s.push(percentile_us(&latencies, 0.99));
        }
    }
    Ok(CallRow {
        operation: operation.name(),
        clients,
        per_s: median(&rates).unwrap_or_default(),
        p50_us: median(&p50s).unwrap_or_default(),
        p99_us: median(&p99s).unwrap_or_default(),
    })
}

fn time(operation: Operation, object: &str, connection: &mut Connection) -> io::Result<Duration> {
    let started = Instant::now();
    match operation {
        Operation::BareTwice => {
            for _ in 0..2 {
                expect(connection.call("POST", object)?.status, 200, "POST", object)?;
            }
        }
        Operation::LeaseRelease => {
            let lease: LeaseReply = connection.json("POST", &format!("{object}/leases"))?;
            let path = format!("/v1/leases/{}/release", lease.id);
            expect(connection.call("POST", &path)?.status, 200, "POST", &path)?;
        }
        Operation::Miss => {
            let path = format!("{object}-absent/leases");
            expect(connection.call("POST", &path)?.status, 404, "POST", &path)?;
        }
        Operation::Exists => {
            expect(connection.call("HEAD", object)?.status, 200, "HEAD", object)?;
        }
    }
    Ok(started.elapsed())
}
