//! Flood of removals: every client may remove, so it is only to be bounded.

use kvlease_api::lane::{KEYS_MAX, KeysWriter};
use kvlease_harness::{Endpoint, object};
use kvlease_types::BucketName;

use super::{
    end::{ATTACKING, End},
    lane_wire::LaneWire,
};
use crate::{clients::Place, output::print};

/// Objects that are stored between two floods, so that there is something to remove.
const STORED: usize = 16;

/// Arguments of the flood of removals.
#[derive(Clone, Debug, clap::Args)]
pub struct RemovalsArgs {
    #[command(flatten)]
    place: Place,
    /// Bucket of the removals
    #[arg(long)]
    bucket: String,
}

/// Removes objects of its own and ones that never were, over HTTP and in whole frames of the fast
/// lane.
pub(super) fn attack(args: &RemovalsArgs, end: &End) -> anyhow::Result<String> {
    let bucket = BucketName::new(args.bucket.as_str())?;
    let mut frame = Vec::new();
    let mut keys = KeysWriter::remove(&mut frame, 0, &bucket);
    for number in 0..KEYS_MAX {
        keys.push(&format!("removed-{number}"))?;
    }
    keys.finish();
    print(ATTACKING)?;
    let mut connections = 0_u64;
    while !end.has_come() {
        // A connection that the daemon closes is opened again.
        connections += u64::from(remove(args, &frame, end).is_ok());
    }
    Ok(format!("connections={connections}"))
}

/// Removes on one connection of each kind, until the end or an error.
fn remove(args: &RemovalsArgs, frame: &[u8], end: &End) -> anyhow::Result<()> {
    let mut wire = Endpoint::at(args.place.address).connect()?;
    let mut lane = LaneWire::open(&args.place.socket)?;
    while !end.has_come() {
        for number in 0..STORED {
            let path = object(&args.bucket, &format!("removed-{number}"));
            wire.try_call("PUT", &path, &[0x5a; 1024])?;
            if number % 2 == 0 {
                wire.try_call("DELETE", &path, b"")?;
            }
        }
        lane.call(frame, |_| ())?;
    }
    Ok(())
}
