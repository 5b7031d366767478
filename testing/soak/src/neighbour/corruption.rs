//! Attack on good objects by way of a client that finds them corrupt.

use std::{fs, thread, time::Duration};

use anyhow::Context;
use kvlease_client::{
    BucketName, ClientConfig, ConnectorConfig, Key, SegmentName, SocketChoice, blocking,
};
use kvlease_harness::{Endpoint, object};

use super::{
    end::{ATTACKING, End},
    names::FOREIGN,
};
use crate::{clients::Place, output::print};

/// Reports of each object.
const REPORTS: usize = 100;

const POLL: Duration = Duration::from_millis(10);

/// Arguments of the attack on good objects.
#[derive(Clone, Debug, clap::Args)]
pub struct CorruptionArgs {
    #[command(flatten)]
    place: Place,
    /// Length of the daemon's segment
    #[arg(long)]
    capacity: usize,
    /// Bucket of the objects
    #[arg(long)]
    bucket: String,
    /// Keys of good objects
    #[arg(required = true)]
    keys: Vec<String>,
}

/// Reads every object with a native client whose segment is another file: each checksum is wrong,
/// and the client tells the daemon whatever it tells then. After that it reports them by hand.
pub(super) fn attack(args: &CorruptionArgs, end: &End) -> anyhow::Result<String> {
    let other = tempfile::NamedTempFile::with_prefix_in("kvlease-neighbour-", "/dev/shm")?;
    fs::write(other.path(), vec![FOREIGN; args.capacity])?;
    let name = other.path().file_name().and_then(|name| name.to_str()).context("no name")?;
    let mut config = ClientConfig::new(Endpoint::at(args.place.address).url().parse()?);
    config.bucket = BucketName::new(args.bucket.as_str())?;
    config.shared_memory_name = Some(name.parse::<SegmentName>()?);
    let mut config = ConnectorConfig::new(config);
    config.socket = SocketChoice::Never;
    let connector = blocking::Connector::new(config)?;
    let (mut got, mut failed) = (0, 0);
    for key in &args.keys {
        match connector.get(&Key::new(key.as_str())?) {
            Ok(Some(_)) => got += 1,
            Ok(None) => {}
            Err(_) => failed += 1,
        }
    }
    // What the client does behind its calls is done by then.
    connector.close()?;
    report(args)?;
    print(&format!("{ATTACKING} got={got} failed={failed}"))?;
    while !end.has_come() {
        thread::sleep(POLL);
    }
    Ok(String::new())
}

/// Reports every object as corrupt, again and again. A daemon without reports refuses each.
fn report(args: &CorruptionArgs) -> anyhow::Result<()> {
    let mut wire = Endpoint::at(args.place.address).connect()?;
    for key in args.keys.iter().cycle().take(args.keys.len() * REPORTS) {
        let path = format!("{}/reports", object(&args.bucket, key));
        wire.try_call("POST", &path, b"")?;
    }
    Ok(())
}
