//! A client that may write into the arena, and writes wherever it wants.
//!
//! The fast lane gives every writer a mapping of the whole arena for writing. Here one of them writes
//! garbage, flips bits and copies bytes of one object over another one, at random places, all the
//! time. Other clients store, read and remove objects with connectors, which read by the published
//! index. Whatever was done to the arena:
//!
//! * No connector returns a byte that is wrong, or a version that the
//!   [oracle](kvlease_harness::oracle) rules out. What was scribbled on is an error or a miss.
//! * A corrupt object is found and removed, so that its key can be stored again.
//! * The daemon goes on, and ends with status 0 after `SIGTERM`.
//!
//! The scribbler is a thread of this process with a mapping of its own: other processes see nothing
//! else of one that is a process.

mod arguments;
mod client;
mod common;
mod report;
mod scribbler;

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use kvlease_harness::{Daemon, oracle::Oracle};

use crate::{clients::Place, interrupt::Interrupt, launch::launch, workload::Workload};
use client::Client;
use common::{Common, LENS, OVERCOMMIT};
use scribbler::Scribbler;

pub use arguments::ScribbleArgs;
pub use report::ScribbleReport;

/// Interval of looks at the interrupt and at the daemon.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Lets the scribbler and the clients go on for as long as configured, or until an interrupt.
///
/// # Errors
///
/// Whatever keeps it from a verdict: a daemon that ended by itself or does not start.
pub fn run(args: &ScribbleArgs, seed: u64) -> anyhow::Result<ScribbleReport> {
    let interrupt = Interrupt::listen()?;
    let mut daemon = Daemon::start(launch(args.daemon.as_deref(), args.capacity, [])?)?;
    let place = Place::of(&daemon)?;
    let bytes = args.capacity.bytes() * OVERCOMMIT;
    let workload = Workload::of(seed, bytes, LENS);
    let common =
        &Common::new(seed, usize::from(args.clients), Oracle::new(workload.keys()), workload);
    let scribbler = Scribbler::new(common, &daemon.segment().path(), args.capacity)?;
    let started = Instant::now();
    let clients = (0..common.clients).map(|number| Client::new(common, &place, number));
    let clients: Vec<Client<'_>> = clients.collect::<anyhow::Result<_>>()?;
    let raced = thread::scope(|scope| {
        for client in clients {
            scope.spawn(move || client.run());
        }
        scope.spawn(move || scribbler.run(Duration::from_micros(args.pause_us)));
        let mut raced = Ok(());
        while raced.is_ok() && started.elapsed() < Duration::from_secs(args.seconds) {
            thread::sleep(LOOK_EVERY);
            raced = interrupt.check().and_then(|()| ensure_alive(&mut daemon));
        }
        common.end();
        raced
    });
    raced.with_context(|| format!("the daemon's log:\n{}", daemon.log()))?;
    let found_corrupt = daemon.metric("kvlease_corrupt_objects_total")? as u64;
    let seconds = started.elapsed().as_secs_f64();
    let daemon_status = daemon.terminate()?.code();
    Ok(ScribbleReport::of(common, seconds, found_corrupt, daemon_status))
}

fn ensure_alive(daemon: &mut Daemon) -> anyhow::Result<()> {
    ensure!(daemon.is_alive()?, "the daemon ended by itself");
    Ok(())
}
