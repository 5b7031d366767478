//! World: two daemons, clients of all kinds and strangers, in any order of starts, stops and
//! removals, from one seed.
//!
//! A director takes one step after the other. It starts a daemon, on its own segment or on the one
//! of the other daemon, on a socket of its own or on a path that both use, with the same capacity or
//! another; ends it by `SIGTERM` or by `SIGKILL`; stops it by `SIGSTOP` and lets it go on; removes
//! the segment's public name, the socket or the lease deadlines; puts a stranger at a socket or at a
//! name. Meanwhile native clients (over the fast lane and over HTTP) and clients as the stock ones
//! are store, read and remove objects, each call with a limit of time.
//!
//! Four invariants hold:
//!
//! * *Bytes.* Every byte that a client reads within its lease is right for its key, and its version
//!   is one that the oracle (`versions`) allows.
//! * *Limits.* Every call returns within its limit, whatever state the daemon is in. A tolerance
//!   keeps slow machines out: only calls that hang are beyond it.
//! * *Starts.* Every start ends, serving or with exactly one line and a documented status. A start
//!   with nothing in its way serves. A daemon that is asked to end does, with status 0.
//! * *Calm.* At the end, once the strangers are gone and both daemons run, every client works at
//!   full function, the ones that lived through all of it.

mod arguments;
mod calls;
mod client;
mod director;
mod host;
mod native;
mod report;
mod shared;
mod start;
mod stock;
mod strangers;
mod versions;
mod watch;

use std::{sync::Arc, thread, time::Instant};

use anyhow::Context;
use kvlease_testing::Draws;

use crate::interrupt::Interrupt;
use client::Client;
use director::Director;
use shared::Shared;

pub use arguments::WorldArgs;
pub use report::WorldReport;

/// Party whose draws decide the director's steps; clients count from 0.
const DIRECTOR: u64 = u64::MAX;

/// Lets the world go on for as many steps as configured, or until an interrupt, and then be calm.
///
/// # Errors
///
/// Whatever keeps it from a verdict.
pub fn run(args: &WorldArgs, seed: u64) -> anyhow::Result<WorldReport> {
    let interrupt = Interrupt::listen()?;
    let started = Instant::now();
    let mut director = Director::new(args, Draws::of(seed, DIRECTOR), &interrupt)?;
    let clients = usize::from(args.clients);
    let shared = Arc::new(Shared::new(seed, clients, director.addresses(), director.names()));
    director.begin(Arc::clone(&shared));
    let mut threads = Vec::new();
    for number in 0..clients {
        let client = Client::new(Arc::clone(&shared), number);
        let thread = thread::Builder::new().name(format!("world-{number}"));
        threads.push(thread.spawn(move || client.run())?);
    }
    let directed = director.run(args.steps).and_then(|()| director.calm());
    shared.end();
    let directed = directed.and_then(|()| director.finish());
    directed.with_context(|| director.logs())?;
    // A thread whose call hangs is a fault that was noted; it ends with the process.
    for thread in threads.into_iter().filter(|_| shared.watch.hanging() == 0) {
        thread.join().ok().context("a client panicked")??;
    }
    Ok(WorldReport::of(seed, started.elapsed(), &shared))
}
