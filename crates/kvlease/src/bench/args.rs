//! Arguments of `kvlease bench`.

#[cfg(feature = "plot")]
use std::path::PathBuf;

use clap::Args;
use kvlease_client::ByteSize;

use crate::arguments;

/// Arguments of `bench`.
#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    /// Object sizes [with --scale: 1KiB to 64MiB]
    #[arg(long, value_delimiter = ',', value_name = "SIZE,...",
          default_value_if("scale", "true", SCALE_SIZES),
          default_value = "256KiB,1MiB,4MiB,16MiB,64MiB", value_parser = size)]
    pub(super) sizes: Vec<ByteSize>,
    /// How many clients at a time; with --scale, processes
    #[arg(long, value_delimiter = ',', value_name = "N,...", default_value = "1,4,16,64",
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) clients: Vec<u16>,
    /// Rounds that count, of which the medians are shown; one more goes ahead [with --scale: 3]
    #[arg(long, default_value_if("scale", "true", "3"), default_value = "5",
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(super) rounds: u16,
    /// The capacity of the daemon that is started [default: what the largest row needs]
    #[arg(long, value_name = "SIZE")]
    pub(super) capacity: Option<ByteSize>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Show how cost grows with objects, clients and sizes instead, on daemons of its own
    #[arg(long, conflicts_with = "capacity")]
    pub(super) scale: bool,
    /// With --scale: how many objects
    #[arg(long, value_delimiter = ',', value_name = "N,...", requires = "scale",
          default_value = "10000,30000,100000,300000,1000000,3000000,10000000",
          value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub(super) objects: Vec<u64>,
    /// With --scale: how many connections, of up to 16 processes
    #[arg(long, value_delimiter = ',', value_name = "N,...", requires = "scale",
          default_value = "16,64,256,1024",
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) connections: Vec<u16>,
    /// With --scale: draw the curves into this directory, as SVG and PNG
    #[cfg(feature = "plot")]
    #[arg(long, value_name = "DIR", requires = "scale")]
    pub(super) plot: Option<PathBuf>,
}

/// Sizes that `--scale` sweeps by default.
const SCALE_SIZES: &str = "1KiB,4KiB,16KiB,64KiB,256KiB,1MiB,4MiB,16MiB,64MiB";

fn size(text: &str) -> Result<ByteSize, String> {
    arguments::size_above_zero(text, "an object has at least one byte")
}
