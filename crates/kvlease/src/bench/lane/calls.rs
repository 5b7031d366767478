//! Calls over the fast lane on one key and on many, and small objects in batches.

use std::{
    io,
    time::{Duration, Instant},
};

use kvlease_client::{Key, LeaseReply, encode};

use super::{
    super::{
        figures::{median, percentile_us},
        session::Session,
        wire::{Connection, expect, failed},
    },
    client::LaneClient,
    report::LaneCallRow,
};
use crate::failure::Failure;

/// Keys of all calls of a round together; the fewest and the most calls.
const ROUND_KEYS: usize = 8192;
const ROUND_CALLS_MIN: usize = 16;
const ROUND_CALLS_MAX: usize = 512;

/// Length and number of the objects.
const OBJECT_LEN: usize = 1 << 10;
const OBJECTS: usize = 1024;

/// The rows of the table.
pub(super) const ROWS: [Row; 12] = [
    Row::new(Operation::Lease, 1),
    Row::new(Operation::Lease, 128),
    Row::new(Operation::Lease, 1024),
    Row::new(Operation::View, 1),
    Row::new(Operation::View, 128),
    Row::new(Operation::LookUp, 128),
    Row::new(Operation::Get, 128),
    Row::new(Operation::Put, 128),
    Row::new(Operation::Count, 1),
    Row::new(Operation::Count, 1024),
    Row::new(Operation::Read, 1),
    Row::new(Operation::Read, 128),
];

/// One row: a kind of call, and the keys of each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    operation: Operation,
    keys: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Operation {
    /// Leases and their release.
    Lease,
    /// Views of objects, and their end.
    View,
    /// Whether objects are there.
    LookUp,
    /// Objects copied to memory of the client.
    Get,
    /// Objects stored from it.
    Put,
    /// Whether objects are there, by the published index.
    Count,
    /// Objects copied to memory of the client, by the published index.
    Read,
}

impl Row {
    const fn new(operation: Operation, keys: usize) -> Self {
        Self { operation, keys }
    }

    fn name(self) -> &'static str {
        match self.operation {
            Operation::Lease => "acquire+release",
            Operation::View => "view",
            Operation::LookUp => "look up 1 KiB",
            Operation::Get => "get 1 KiB",
            Operation::Put => "put 1 KiB",
            Operation::Count => "exists, index",
            Operation::Read => "get, index",
        }
    }
}

/// Measures all rows, and one lease with its release over HTTP beside them, in microseconds.
pub(super) fn measure(
    session: &Session,
    client: &LaneClient,
) -> Result<(f64, Vec<LaneCallRow>), Failure> {
    let keys = client.keys("call", 0..OBJECTS);
    let measured = measure_with(session, client, &keys);
    // Also after a failure: the objects are this run's own.
    let removed = client.remove(&keys).map_err(failed);
    let measured = measured?;
    removed?;
    Ok(measured)
}

fn measure_with(
    session: &Session,
    client: &LaneClient,
    keys: &[Key],
) -> Result<(f64, Vec<LaneCallRow>), Failure> {
    client.put(keys, OBJECT_LEN, |_| &[7; OBJECT_LEN]).map_err(failed)?;
    let mut connection = session.connect(1)?.remove(0);
    let mut http = Vec::new();
    let mut figures = ROWS.map(|_| Vec::new());
    for number in 0..=session.rounds {
        session.check_interrupted()?;
        let lease = || lease_over_http(session, &mut connection, &keys[0]);
        let over_http = p50_us(ROUND_CALLS_MAX, lease).map_err(failed)?;
        let mut round = Vec::with_capacity(ROWS.len());
        for row in ROWS {
            session.progress.set_message(format!("fast lane, {} x {}", row.name(), row.keys));
            round.push(measure_row(client, row, keys).map_err(failed)?);
        }
        // The first round warms up connections.
        if number > 0 {
            http.push(over_http);
            figures.iter_mut().zip(round).for_each(|(figures, figure)| figures.push(figure));
        }
    }
    session.progress.inc(ROWS.len() as u64);
    let http_us = median(&http).unwrap_or_default();
    let rows = ROWS.iter().zip(figures).map(|(row, figures)| {
        let p50_us = median(&figures).unwrap_or_default();
        let us_per_key = p50_us / row.keys as f64;
        LaneCallRow {
            operation: row.name(),
            keys: row.keys,
            p50_us,
            us_per_key,
            http_times: (row.operation == Operation::Lease).then(|| http_us / us_per_key),
        }
    });
    Ok((http_us, rows.collect()))
}

fn measure_row(client: &LaneClient, row: Row, keys: &[Key]) -> io::Result<f64> {
    let calls = (ROUND_KEYS / row.keys).clamp(ROUND_CALLS_MIN, ROUND_CALLS_MAX);
    let keys = &keys[..row.keys];
    let mut room = vec![0; row.keys * OBJECT_LEN];
    match row.operation {
        Operation::Lease => p50_us(calls, || timed(|| client.acquire(keys).map(drop))),
        Operation::View => p50_us(calls, || timed(|| client.view(keys).map(drop))),
        Operation::LookUp => p50_us(calls, || timed(|| client.look_up(keys))),
        Operation::Count => p50_us(calls, || timed(|| client.count(keys))),
        Operation::Read => p50_us(calls, || timed(|| client.get(keys))),
        Operation::Get => p50_us(calls, || {
            timed(|| {
                let leases = client.acquire(keys)?;
                let into = room.chunks_exact_mut(OBJECT_LEN);
                leases.iter().zip(into).try_for_each(|(lease, into)| client.copy(lease, into))
            })
        }),
        Operation::Put => {
            let keys = client.keys("put", 0..row.keys);
            let measured = p50_us(calls, || {
                let stored = timed(|| client.put(&keys, OBJECT_LEN, |_| &[9; OBJECT_LEN]));
                client.remove(&keys)?;
                stored
            });
            client.remove(&keys)?;
            measured
        }
    }
}

/// Median time of this number of calls, each of which returns its own, in microseconds.
fn p50_us(calls: usize, mut call: impl FnMut() -> io::Result<Duration>) -> io::Result<f64> {
    let mut times = (0..calls).map(|_| call()).collect::<io::Result<Vec<_>>>()?;
    times.sort_unstable();
    Ok(percentile_us(&times, 0.5))
}

fn timed(call: impl FnOnce() -> io::Result<()>) -> io::Result<Duration> {
    let started = Instant::now();
    call()?;
    Ok(started.elapsed())
}

fn lease_over_http(
    session: &Session,
    connection: &mut Connection,
    key: &Key,
) -> io::Result<Duration> {
    let path =
        format!("/v1/kv/{}/{}/leases", encode(session.bucket.as_str()), encode(key.as_str()));
    timed(|| {
        let lease: LeaseReply = connection.json("POST", &path)?;
        let path = format!("/v1/leases/{}/release", lease.id);
        expect(connection.call("POST", &path)?.status, 200, "POST", &path)
    })
}
