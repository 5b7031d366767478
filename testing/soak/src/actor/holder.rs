//! A process that holds a lease and looks at the leased bytes until its deadline, whatever becomes
//! of the daemon.

use std::{
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use kvlease_client::{Attachment, Extent, LeaseReply, SegmentName};
use rustix::process::{Signal, set_parent_process_death_signal};

use super::say;
use crate::{
    Payload, SHM_DIR, WrongBytes,
    wire::{Connection, object},
};

/// What it says once it has read the object under its lease.
pub const HELD: &str = "held";

/// What the holder is told.
#[derive(Clone, Debug, clap::Args)]
pub struct HolderArgs {
    /// Where the daemon listens
    #[arg(long)]
    pub address: SocketAddr,
    /// Name of its segment
    #[arg(long)]
    pub segment: SegmentName,
    /// Bucket of the object
    #[arg(long)]
    pub bucket: String,
    /// Key of the object
    #[arg(long)]
    pub key: String,
    /// Time to live of the lease in seconds
    #[arg(long)]
    pub ttl_s: f64,
}

/// Leases an object, says so, then copies and checks it again and again until the lease ends, and
/// says how often. The mapping and the lease are all it has left: it never asks the daemon again.
///
/// # Errors
///
/// If any copy that ended before the deadline was not the object.
pub fn hold(args: &HolderArgs) -> anyhow::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let attachment = Attachment::open(Path::new(SHM_DIR), &args.segment)?;
    let path = format!("{}/leases?ttl_s={}", object(&args.bucket, &args.key), args.ttl_s);
    let asked = Instant::now();
    let reply = Connection::open(args.address)?.call("POST", &path, b"")?;
    ensure!(reply.status == 200, "no lease, reply=`{reply:?}`");
    let lease: LeaseReply = serde_json::from_slice(&reply.body)?;
    let granted = lease.ttl_s.context("the daemon says for how long")?;
    let deadline = asked + Duration::from_secs_f64(granted);
    let extents: Vec<Extent> = lease.offsets.into_iter().map(Extent::from).collect();
    let len: u64 = extents.iter().map(|extent| extent.len.bytes()).sum();
    let mut buffer = vec![0; len as usize];
    let mut copies = 0u64;
    loop {
        attachment.copy_out(&extents, &mut buffer)?;
        if Instant::now() >= deadline {
            break;
        }
        let version = Payload::verify(&args.key, &buffer);
        let wrong =
            |wrong: WrongBytes| anyhow::anyhow!("leased bytes changed, copies=`{copies}` {wrong}");
        version.map_err(wrong)?;
        copies += 1;
        if copies == 1 {
            say(HELD)?;
        }
    }
    say(&format!("{copies} copies"))?;
    Ok(())
}
