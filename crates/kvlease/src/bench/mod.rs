//! `kvlease bench`: a daemon's rates and latencies, next to those of `memcpy` in the same run.
//!
//! Absolute figures of two machines cannot be compared, and those of one machine hardly: so every
//! round measures `memcpy` right beside the daemon, and the ratio is what counts. All rates are
//! medians over rounds, after one round that is thrown away.
//!
//! The clients are threads with a blocking socket each, since they share the machine with the
//! daemon and a call is cheapest that way. For large puts it makes no difference: the client
//! library's sender took the same processor time per GB at 16 MiB. The fast lane is measured with the
//! client library, and each of its figures stands next to what it should be.

mod buffers;
mod calls;
mod clients;
mod cpu;
mod daemon;
mod echo;
mod figures;
mod lane;
mod plan;
mod report;
mod session;
mod transfers;
mod wire;

use clap::Args;
use kvlease_client::ByteSize;

use crate::{cli::DaemonArgs, failure::Failure};

/// The arguments of `bench`.
#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    /// Object sizes
    #[arg(long, value_delimiter = ',', value_name = "SIZE,...",
          default_value = "256KiB,1MiB,4MiB,16MiB,64MiB", value_parser = size)]
    sizes: Vec<ByteSize>,
    /// How many clients at a time
    #[arg(long, value_delimiter = ',', value_name = "N,...", default_value = "1,4,16,64",
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    clients: Vec<u16>,
    /// Rounds that count, of which the medians are shown; one more goes ahead
    #[arg(long, default_value = "5", value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// The capacity of the daemon that is started [default: what the largest row needs]
    #[arg(long, value_name = "SIZE")]
    capacity: Option<ByteSize>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Measures the daemon that was named, or one of its own, and prints the figures.
pub(crate) fn run(daemon: &DaemonArgs, args: BenchArgs) -> Result<(), Failure> {
    let mut session = session::Session::start(daemon, &args)?;
    let report = session.measure()?;
    // The daemon's memory is given back before the figures are shown.
    drop(session);
    report.print(args.json)
}

fn size(text: &str) -> Result<ByteSize, String> {
    match text.parse::<ByteSize>() {
        Ok(ByteSize::ZERO) => Err("an object has at least one byte".to_owned()),
        Ok(size) => Ok(size),
        Err(error) => Err(error.to_string()),
    }
}
