//! Arguments of a campaign of kills.

use std::path::PathBuf;

use kvlease_types::ByteSize;

/// Arguments of a campaign of kills.
#[derive(Clone, Debug, clap::Args)]
pub struct RestartsArgs {
    /// Number of kills
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..))]
    pub kills: u64,
    /// Seed of keys, lengths, choices and kills [default: another one each time]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Client threads
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub clients: u16,
    /// Threads that read by the published index all the time; every other one has a connector
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(0..=64))]
    pub readers: u16,
    /// Daemons side by side, each with a segment and clients of its own
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=16))]
    pub worlds: u16,
    /// Size of the arena with room for everything; the other one is an eighth of it
    #[arg(long, default_value = "256MiB")]
    pub capacity: ByteSize,
    /// Measure restarts with this number of objects instead; several numbers with commas
    #[arg(long, value_delimiter = ',', conflicts_with_all = ["kills", "clients", "readers", "worlds", "capacity"])]
    pub objects: Vec<u64>,
    /// Length of each of these objects
    #[arg(long, default_value = "80KiB", requires = "objects")]
    pub object_size: ByteSize,
    /// The `kvlease` executable [default: the one beside this]
    #[arg(long, env = "KVLEASE_BIN")]
    pub daemon: Option<PathBuf>,
}
