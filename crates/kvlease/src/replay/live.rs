//! A trace against a running daemon, with the calls of LMCache's stock clients.
//!
//! For each request the keys of its prompt are leased and released one after the other, up to the first that
//! is absent; those that were there are leased and released again, as a client does that reads them; then
//! the rest is put. Each block is an object of one size.

use std::{
    io, process, thread,
    time::{Duration, Instant, SystemTime},
};

use kvlease_client::{Address, ByteSize, LeaseReply, StatsReply, encode};
use serde::Serialize;

use super::{
    args::ReplayArgs,
    sweep,
    terms::Speed,
    trace::{Source, Trace},
};
use crate::{
    arguments::DaemonArgs,
    bench::{Connection, failed},
    failure::{Failure, Status},
    progress,
    text::{human_size, print, printable},
};

/// Limits that stock clients ask for.
const LEASE_QUERY: &str = "timeout_ms=5000&ttl_s=10";

/// Result of a replay. With `--json` it is printed as it is.
#[derive(Debug, Serialize)]
struct LiveReport {
    version: &'static str,
    url: String,
    file: String,
    /// Policy of the daemon.
    eviction: String,
    requests: usize,
    references: u64,
    /// Bytes of an object.
    object_size: u64,
    /// Objects that the daemon had before, and in the end.
    objects_before: u64,
    objects: u64,
    hits: u64,
    hit_ratio: f64,
    /// Puts that the daemon refused.
    refused: u64,
    seconds: f64,
    calls: u64,
    /// Hits in simulations of a cache that holds as many objects as the daemon had in the end.
    simulated: Vec<Simulated>,
}

#[derive(Debug, Serialize)]
struct Simulated {
    policy: &'static str,
    hits: u64,
    hit_ratio: f64,
}

/// Replays the first file.
pub(super) fn run(daemon: &DaemonArgs, args: &ReplayArgs) -> Result<(), Failure> {
    let address = daemon.named()?.expect("the command line has a URL");
    if address.is_https() {
        let text = "replay speaks plain HTTP: name the daemon by an `http://` URL";
        return Err(Failure::new(Status::Usage, text));
    }
    let bucket = daemon.bucket()?;
    let sources = Source::all(&args.files)?;
    let [source] = &sources[..] else {
        let text =
            "a daemon is asked for one trace at a time: name one file, or those of one capture";
        return Err(Failure::new(Status::Usage, text));
    };
    let trace = source.open(args.requests)?;
    let mut client = Client::connect(&address, bucket.as_str())?;
    let before = client.stats()?;
    let object_size = args.object_size(&trace, before.capacity);
    let mut replay =
        Replay { client: &mut client, body: vec![0; object_size as usize], hits: 0, refused: 0 };
    let started = Instant::now();
    replay.run(&trace, args.speed)?;
    let seconds = started.elapsed().as_secs_f64();
    let Replay { hits, refused, .. } = replay;
    let after = client.stats()?;
    let references = trace.references();
    let capacity = u32::try_from(after.objects).unwrap_or(u32::MAX);
    let simulated = args.policies.iter().map(|policy| {
        let hits = sweep::hits(&trace, *policy, capacity);
        Simulated { policy: policy.name(), hits, hit_ratio: hits as f64 / references as f64 }
    });
    let report = LiveReport {
        version: env!("CARGO_PKG_VERSION"),
        url: address.to_string(),
        file: source.path().display().to_string(),
        eviction: after.eviction,
        requests: trace.requests().len(),
        references,
        object_size,
        objects_before: before.objects,
        objects: after.objects,
        hits,
        hit_ratio: hits as f64 / references as f64,
        refused,
        seconds,
        calls: client.calls,
        simulated: simulated.collect(),
    };
    print(&report, LiveReport::table, args.json)
}

/// A replay under way.
struct Replay<'a> {
    client: &'a mut Client,
    body: Vec<u8>,
    hits: u64,
    refused: u64,
}

impl Replay<'_> {
    fn run(&mut self, trace: &Trace, speed: Speed) -> Result<(), Failure> {
        let bar = progress::steps(trace.requests().len());
        let started = Instant::now();
        let begin = trace.times().next().unwrap_or(0);
        for (at, blocks) in trace.times().zip(trace.requests()) {
            if let Speed::Times(speed) = speed {
                let due = Duration::from_secs_f64(at.saturating_sub(begin) as f64 / 1e6 / speed);
                thread::sleep(due.saturating_sub(started.elapsed()));
            }
            self.request(blocks).map_err(failed)?;
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(())
    }

    fn request(&mut self, blocks: &[u32]) -> io::Result<()> {
        let mut found = 0;
        for block in blocks {
            if !self.client.lease(*block)? {
                break;
            }
            found += 1;
        }
        self.hits += found as u64;
        let (there, missing) = blocks.split_at(found);
        for block in there {
            // It may have left meanwhile: the engine computes it then.
            self.client.lease(*block)?;
        }
        for block in missing {
            self.refused += u64::from(!self.client.put(*block, &self.body)?);
        }
        Ok(())
    }
}

/// Client with one connection.
struct Client {
    connection: Connection,
    /// Path of an object before and behind the number of its block.
    path: (String, &'static str),
    calls: u64,
}

impl Client {
    fn connect(address: &Address, bucket: &str) -> Result<Self, Failure> {
        let connection = Connection::open(address).map_err(failed)?;
        // No two replays have a key in common.
        let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let run = since.as_nanos() as u64 ^ u64::from(process::id());
        // Keys as LMCache writes them.
        let path = (format!("/v1/kv/{}/kvlease-replay-{run:x}@1@0@", encode(bucket)), "@bfloat16");
        Ok(Self { connection, path, calls: 0 })
    }

    fn stats(&mut self) -> Result<StatsReply, Failure> {
        self.connection.json("GET", "/v1/stats").map_err(failed)
    }

    /// Leases an object and releases it. Returns whether it was there.
    fn lease(&mut self, block: u32) -> io::Result<bool> {
        let path = format!("{}/leases?{LEASE_QUERY}", self.object(block));
        self.calls += 1;
        let reply = self.connection.call("POST", &path)?;
        let lease: LeaseReply = match reply.status {
            200 => serde_json::from_slice(reply.body)?,
            404 | 504 => return Ok(false),
            status => return Err(unexpected("POST", &path, status)),
        };
        self.calls += 1;
        let path = format!("/v1/leases/{}/release", lease.id);
        match self.connection.call("POST", &path)?.status {
            200 => Ok(true),
            status => Err(unexpected("POST", &path, status)),
        }
    }

    /// Stores an object. Returns false if the daemon refuses it for now.
    fn put(&mut self, block: u32, body: &[u8]) -> io::Result<bool> {
        let path = self.object(block);
        self.calls += 1;
        match self.connection.try_put(&path, body)? {
            200 | 409 => Ok(true),
            429 | 503 | 507 => Ok(false),
            status => Err(unexpected("PUT", &path, status)),
        }
    }

    fn object(&self, block: u32) -> String {
        let (before, behind) = &self.path;
        format!("{before}{block:016x}{behind}")
    }
}

fn unexpected(method: &str, path: &str, status: u16) -> io::Error {
    io::Error::other(format!("the daemon answered {method} {path} with status {status}"))
}

impl LiveReport {
    fn table(&self) -> String {
        let Self { requests, references, objects_before, objects, refused, seconds, calls, .. } =
            self;
        let mut text = format!(
            "kvlease {}, {} with `{}`: {requests} requests for {references} blocks of {}, {calls} calls in {seconds:.1} s\n",
            self.version,
            self.url,
            printable(&self.eviction),
            human_size(ByteSize::new(self.object_size)),
        );
        text += &format!(
            "objects: {objects_before} before, {objects} in the end; {refused} puts refused\n"
        );
        text += &format!("{:<24}{:>8.1} %\n", "daemon", self.hit_ratio * 100.0);
        for simulated in &self.simulated {
            let name = format!("simulation, {}", simulated.policy);
            text += &format!("{name:<24}{:>8.1} %\n", simulated.hit_ratio * 100.0);
        }
        text
    }
}
