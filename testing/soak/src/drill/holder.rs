//! Drill process that keeps a lease and reads under it until its deadline, whatever happens to the
//! daemon.

use std::time::Duration;

use anyhow::{Context, bail};
use kvlease_types::Key;
use rustix::process::{Signal, set_parent_process_death_signal};
use tokio::runtime::Builder;

use super::subject::Subject;
use crate::{
    clients::{Clients, Seen, Target},
    output::print,
};

/// Line that it prints once it has read the object under its lease.
pub const HELD: &str = "held";

/// Arguments of the holder.
#[derive(Clone, Debug, clap::Args)]
pub struct HolderArgs {
    #[command(flatten)]
    subject: Subject,
    /// Time to live of the lease in seconds
    #[arg(long)]
    ttl_s: f64,
}

/// Leases an object, prints [`HELD`], then copies and checks it again and again until the lease
/// ends, and prints the number of copies. The mapping and the lease are all that it has left: it
/// sends no further request to the daemon.
///
/// # Errors
///
/// If any copy that ended before the deadline was not the object.
pub fn hold(args: &HolderArgs) -> anyhow::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let Subject { target: Target { place, bucket, key }, way } = &args.subject;
    let (keys, ttl) = ([Key::new(key.as_str())?], Duration::from_secs_f64(args.ttl_s));
    let (leases, _clients) = runtime.block_on(async {
        let clients = Clients::open(place, bucket, *way).await?;
        let leases = clients.lease(*way, &keys, Duration::ZERO, ttl).await?;
        // The connection of the fast lane has to outlive its leases.
        anyhow::Ok((leases, clients))
    })?;
    let lease = leases.into_iter().flatten().next().context("there is no such object")?;
    let (mut buffer, mut copies) = (Vec::new(), 0u64);
    loop {
        match lease.read(&mut buffer)? {
            Seen::Version(_) => copies += 1,
            Seen::Late => break,
            changed => bail!("leased bytes changed, copies=`{copies}` {changed}"),
        }
        if copies == 1 {
            print(HELD)?;
        }
    }
    print(&format!("{copies} copies"))?;
    Ok(())
}
