//! Client process of a soak.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, bail};
use kvlease_harness::oracle::OracleFile;
use kvlease_testing::Draws;
use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use tokio::runtime;

use super::{
    progress::ProgressFile,
    reader::Reader,
    session::{BUCKET, ORACLE, Session},
    writer::Writer,
};
use crate::{
    clients::{Clients, Place, Way},
    workload::Workload,
};

/// Work of a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Role {
    /// Stores and removes the objects of its own keys.
    Writer,
    /// Reads the objects of all keys.
    Reader,
}

/// Arguments of a client process.
#[derive(Clone, Debug, clap::Args)]
pub struct ClientArgs {
    #[command(flatten)]
    place: Place,
    /// Way of its requests
    #[arg(long)]
    way: Way,
    /// Size of the daemon's arena in bytes
    #[arg(long)]
    capacity: u64,
    /// Longest time to live of a lease in milliseconds
    #[arg(long)]
    ttl_max_ms: u64,
    /// The soak's folder
    #[arg(long)]
    folder: PathBuf,
    /// Name of the progress file in it
    #[arg(long)]
    progress: String,
    /// The soak's seed
    #[arg(long)]
    seed: u64,
    /// Number of this process among all that the soak starts
    #[arg(long)]
    party: u64,
    /// Number of the writer among the writers
    #[arg(long, default_value_t = 0)]
    number: usize,
    /// Number of writers
    #[arg(long, default_value_t = 1)]
    writers: usize,
}

/// Runs a client until it is killed, at the latest with its supervisor.
///
/// # Errors
///
/// Whatever keeps it from going on; no answer of the daemon does.
pub fn run(role: Role, args: &ClientArgs) -> anyhow::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid().is_none_or(|parent| parent.is_init()) {
        bail!("the supervisor has gone");
    }
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let session = Session {
        clients: runtime.block_on(Clients::open(&args.place, BUCKET, args.way))?,
        way: args.way,
        workload: Workload::new(args.seed, args.capacity),
        oracle: OracleFile::open(&args.folder.join(ORACLE)).context("the oracle's file")?,
        progress: ProgressFile::open(&args.folder.join(&args.progress))
            .context("the progress file")?,
        draws: Draws::of(args.seed, args.party),
    };
    let ttl_max = Duration::from_millis(args.ttl_max_ms);
    runtime.block_on(async {
        match role {
            Role::Writer => Writer::new(session, args.number, args.writers).run().await,
            Role::Reader => Reader::new(session, ttl_max).run().await,
        }
    })
}
