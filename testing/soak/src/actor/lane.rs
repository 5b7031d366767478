//! Processes that a drill kills while they write or read over the fast lane.

use std::{io::Read, iter, path::PathBuf, time::Duration};

use anyhow::{Context, bail, ensure};
use kvlease_client::{
    BucketName, ByteSize, Key,
    lane::{Found, Lane, LaneLease},
};
use rustix::process::{Signal, set_parent_process_death_signal};
use tokio::runtime::{Builder, Runtime};

use super::{HELD, say};
use crate::{Payload, WrongBytes};

/// What the filler says when half of the object is in the arena.
pub const HALF_FILLED: &str = "half filled";

/// How long a call may take before the daemon counts as stuck.
const CALL_WITHIN: Duration = Duration::from_secs(60);

/// What both are told.
#[derive(Clone, Debug, clap::Args)]
pub struct LaneArgs {
    /// The daemon's socket
    #[arg(long)]
    pub socket: PathBuf,
    /// Bucket of the object
    #[arg(long)]
    pub bucket: String,
    /// Key of the object
    #[arg(long)]
    pub key: String,
}

/// What the filler is told besides.
#[derive(Clone, Debug, clap::Args)]
pub struct FillerArgs {
    #[command(flatten)]
    lane: LaneArgs,
    /// Length of the object
    #[arg(long)]
    pub len: usize,
}

/// What the holder is told besides.
#[derive(Clone, Debug, clap::Args)]
pub struct LaneHolderArgs {
    #[command(flatten)]
    lane: LaneArgs,
    /// Time to live of the lease in seconds
    #[arg(long)]
    pub ttl_s: f64,
}

/// Writes half of an object into the arena, says so, and then does nothing until its standard input
/// ends.
///
/// # Errors
///
/// What the system or the daemon says.
pub fn fill_half(args: &FillerArgs) -> anyhow::Result<()> {
    let (runtime, lane) = open(&args.lane)?;
    let key = Key::new(args.lane.key.as_str())?;
    let wish = [(&key, ByteSize::new(args.len as u64))];
    let reserve = lane.reserve(&wish, CALL_WITHIN);
    let reserved = runtime.block_on(reserve)?.pop().context("an answer")?;
    let Ok(reservation) = reserved else { bail!("refused: {reserved:?}") };
    let half = vec![0xa5; args.len / 2];
    let rest = iter::once_with(|| -> &[u8] {
        // Whoever listens kills this process, or ends its input: there is no rest then.
        let _ = say(HALF_FILLED);
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        &[]
    });
    reservation.fill(iter::once(half.as_slice()).chain(rest)).context("the fill was late")?;
    Ok(())
}

/// Leases an object, says so, then copies and checks it again and again until the lease ends, and
/// says how often. After the lease was granted it never asks the daemon again.
///
/// # Errors
///
/// If any copy that ended within the lease was not the object.
pub fn hold_over_lane(args: &LaneHolderArgs) -> anyhow::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let (runtime, lane) = open(&args.lane)?;
    let (name, ttl) = (args.lane.key.as_str(), Duration::from_secs_f64(args.ttl_s));
    let keys = [Key::new(name)?];
    let acquire = lane.acquire(&keys, false, Duration::ZERO, ttl, CALL_WITHIN);
    let found = runtime.block_on(acquire)?.pop();
    let Some(Found::Leased(lease)) = found else { bail!("no lease: {found:?}") };
    let mut buffer = vec![0; lease.len().bytes() as usize];
    let mut copies = 0u64;
    while copy(&lane, &lease, &mut buffer)? {
        let wrong =
            |wrong: WrongBytes| anyhow::anyhow!("leased bytes changed, copies=`{copies}` {wrong}");
        Payload::verify(name, &buffer).map_err(wrong)?;
        copies += 1;
        if copies == 1 {
            say(HELD)?;
        }
    }
    say(&format!("{copies} copies"))?;
    Ok(())
}

/// Copies what is leased. `false` if the lease had ended by then.
fn copy(lane: &Lane, lease: &LaneLease, buffer: &mut [u8]) -> anyhow::Result<bool> {
    let checksum = lane.attachment().copy_out_digested(lease.extents(), buffer)?;
    if !lease.is_live() {
        return Ok(false);
    }
    ensure!(checksum == lease.checksum(), "another checksum");
    Ok(true)
}

fn open(args: &LaneArgs) -> anyhow::Result<(Runtime, Lane)> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let open =
        Lane::open(&args.socket, BucketName::new(args.bucket.as_str())?, true, 1, CALL_WITHIN);
    let lane = runtime.block_on(open)?;
    Ok((runtime, lane))
}
