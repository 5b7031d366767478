//! Arguments of a world.

use std::path::PathBuf;

use kvlease_types::ByteSize;

/// Arguments of a world.
#[derive(Clone, Debug, clap::Args)]
pub struct WorldArgs {
    /// Number of the director's steps
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..))]
    pub steps: u64,
    /// Seed of steps, keys, lengths and choices [default: another one each time]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Client threads; a third each are native on the fast lane, native over HTTP, and stock-like
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u16).range(3..=96))]
    pub clients: u16,
    /// Size of each arena
    #[arg(long, default_value = "32MiB")]
    pub capacity: ByteSize,
    /// The `kvlease` executable [default: the one beside this]
    #[arg(long, env = "KVLEASE_BIN")]
    pub daemon: Option<PathBuf>,
}
