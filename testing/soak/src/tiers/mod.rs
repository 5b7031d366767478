//! Campaign of kills and reboots over a tier.
//!
//! Clients store, read and remove more than the arena has room for, so objects go to the tier and
//! come back all the time. `SIGKILL` hits the daemon in the middle of that, or while it takes over.
//! After every other kill the segment is removed as well, as a reboot does. A store of the campaign's
//! own is stopped, slow, full or killed meanwhile, or another program changes its values:
//!
//! * Every byte that a client reads is right, and of a version that its key may have.
//! * An object whose removal was answered never comes back, neither from the arena nor from the tier.
//! * Before some kills the clients stop and the daemon copies what is queued. Every object that was
//!   there then is there after the kill and the reboot, but for those that the daemon counts as not
//!   copied, and those that another program changed.
//!
//! Every store of a key writes the same bytes until a removal of it was answered; then come new ones.
//! Several daemons go on side by side, since each of them mostly waits.

mod arguments;
mod below;
mod client;
mod copies;
mod report;
mod world;

use std::{thread, time::Instant};

use crate::interrupt::Interrupt;
use world::World;

pub use arguments::{Below, TiersArgs};
pub use report::TiersReport;

/// Kills the daemons as often as configured, or until an interrupt.
///
/// # Errors
///
/// Whatever keeps it from a verdict: a daemon that ended by itself or does not start.
pub fn run(args: &TiersArgs, seed: u64) -> anyhow::Result<TiersReport> {
    let interrupt = &Interrupt::listen()?;
    let started = Instant::now();
    let worlds = u64::from(args.worlds).min(args.kills);
    let reports: Vec<anyhow::Result<TiersReport>> = thread::scope(|scope| {
        let world = |number: u64| {
            // The first ones have the rest.
            let kills = args.kills / worlds + u64::from(number < args.kills % worlds);
            scope.spawn(move || World::new(args, seed, number).run(kills, interrupt))
        };
        let threads: Vec<_> = (0..worlds).map(world).collect();
        threads.into_iter().map(|thread| thread.join().expect("a world does not panic")).collect()
    });
    let mut report = TiersReport { seed, ..TiersReport::default() };
    for of_one in reports {
        report.add(of_one?);
    }
    report.seconds = started.elapsed().as_secs_f64();
    Ok(report)
}
