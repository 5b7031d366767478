//! Arguments of a campaign over a tier.

use std::path::PathBuf;

/// Arguments of a campaign over a tier.
#[derive(Clone, Debug, clap::Args)]
pub struct TiersArgs {
    /// Number of kills, at least
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..))]
    pub kills: u64,
    /// Seed of lengths, choices and kills [default: another one each time]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Tier below the daemon
    #[arg(long, value_enum, default_value_t = Below::Nvme)]
    pub tier: Below,
    /// Daemons side by side, each with a tier and clients of its own
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=16))]
    pub worlds: u16,
    /// Client threads of each daemon
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=16))]
    pub clients: u16,
    /// Directory on a disk for the tiers, with 1 GiB for each daemon [default: that of this executable]
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// The `kvlease` executable [default: the one beside this]
    #[arg(long, env = "KVLEASE_BIN")]
    pub daemon: Option<PathBuf>,
}

/// Tier below a daemon.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Below {
    /// A file on a disk
    Nvme,
    /// A `redis-server` of the campaign's own, which meets trouble too
    Valkey,
}
