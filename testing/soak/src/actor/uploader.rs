//! A process that is in the middle of an upload, for as long as it lives.

use std::{io::Read, net::SocketAddr};

use super::say;
use crate::wire::{Connection, object};

/// What it says when half of the body has been sent.
pub const HALF_SENT: &str = "half sent";

/// What the uploader is told.
#[derive(Clone, Debug, clap::Args)]
pub struct UploaderArgs {
    /// Where the daemon listens
    #[arg(long)]
    pub address: SocketAddr,
    /// Bucket of the object
    #[arg(long)]
    pub bucket: String,
    /// Key of the object
    #[arg(long)]
    pub key: String,
    /// Announced length in bytes
    #[arg(long)]
    pub len: usize,
}

/// Sends half of an object, says so, and then does nothing until its standard input ends.
///
/// # Errors
///
/// What the system says.
pub fn upload_half(args: &UploaderArgs) -> anyhow::Result<()> {
    let mut connection = Connection::open(args.address)?;
    connection.send_head("PUT", &object(&args.bucket, &args.key), args.len)?;
    connection.send(&vec![0xa5; args.len / 2])?;
    say(HALF_SENT)?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
