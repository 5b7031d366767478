//! Arguments of a campaign with a scribbler.

use std::path::PathBuf;

use kvlease_types::ByteSize;

/// Arguments of a campaign with a scribbler.
#[derive(Clone, Debug, clap::Args)]
pub struct ScribbleArgs {
    /// Duration in seconds
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    pub seconds: u64,
    /// Seed of keys, lengths, choices and places [default: another one each time]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Client threads
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub clients: u16,
    /// Longest pause between two scribbles, in microseconds
    #[arg(long, default_value_t = 4000)]
    pub pause_us: u64,
    /// Size of the arena
    #[arg(long, default_value = "64MiB")]
    pub capacity: ByteSize,
    /// The `kvlease` executable [default: the one beside this]
    #[arg(long, env = "KVLEASE_BIN")]
    pub daemon: Option<PathBuf>,
}
