//! Drill process in the middle of a store, for as long as it lives.

use std::{
    io::{self, Read},
    iter,
};

use anyhow::{Context, bail};
use kvlease_harness::{object, wire::Wire};
use kvlease_types::{ByteSize, Key};
use tokio::runtime::Builder;

use super::subject::Subject;
use crate::{
    clients::{Clients, Target, Way},
    limits::CALL_WITHIN,
    output::print,
};

/// Line that it prints when half of the object was sent, or is in the arena.
pub const HALF_STORED: &str = "half stored";

/// Content of that half.
const BYTE: u8 = 0xa5;

/// Arguments of the uploader.
#[derive(Clone, Debug, clap::Args)]
pub struct UploaderArgs {
    #[command(flatten)]
    subject: Subject,
    /// Announced length in bytes
    #[arg(long)]
    len: usize,
}

/// Stores half of an object, prints [`HALF_STORED`], and then does nothing until its standard input
/// ends.
///
/// # Errors
///
/// Those of the system or of the daemon.
pub fn store_half(args: &UploaderArgs) -> anyhow::Result<()> {
    let half = vec![BYTE; args.len / 2];
    match args.subject.way {
        Way::Http => send_half(args, &half),
        Way::Lane => fill_half(args, &half),
    }
}

fn send_half(args: &UploaderArgs, half: &[u8]) -> anyhow::Result<()> {
    let Target { place, bucket, key } = &args.subject.target;
    let mut wire = Wire::try_open(place.address)?;
    wire.try_send_head("PUT", &object(bucket, key), args.len)?;
    wire.try_send(half)?;
    print(HALF_STORED)?;
    await_end()?;
    Ok(())
}

fn fill_half(args: &UploaderArgs, half: &[u8]) -> anyhow::Result<()> {
    let Target { place, bucket, key } = &args.subject.target;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let clients = runtime.block_on(Clients::open(place, bucket, Way::Lane))?;
    let (lane, key) = (clients.lane()?, Key::new(key.as_str())?);
    let requested = [(&key, ByteSize::new(args.len as u64))];
    let reserved = runtime.block_on(lane.reserve(&requested, CALL_WITHIN))?.pop();
    let Some(Ok(reservation)) = reserved else { bail!("refused: {reserved:?}") };
    let rest = iter::once_with(|| -> &[u8] {
        // The drill kills this process, or ends its input: there is no rest then.
        let _ = print(HALF_STORED);
        let _ = await_end();
        &[]
    });
    reservation.fill(iter::once(half).chain(rest)).context("the fill was late")?;
    Ok(())
}

fn await_end() -> io::Result<()> {
    io::stdin().read_to_end(&mut Vec::new()).map(drop)
}
