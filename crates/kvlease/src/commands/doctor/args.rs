//! Arguments of `kvlease doctor`.

use std::path::PathBuf;

use clap::Args;

/// The arguments of `doctor`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kvlease doctor                                       # as a client with the defaults
  kvlease doctor --config-file lmcache.yaml            # as LMCache in an engine's process
  kvlease doctor --l2-adapter '{\"type\":\"native_plugin\",…}'   # as LMCache's server
  kvlease doctor --serve --config /etc/kvlease.toml    # before the daemon starts

Exit statuses: 0 nothing is wrong; 1 findings; 2 it could not look.")]
pub(crate) struct DoctorArgs {
    /// LMCache's YAML of a client in the engine's process [default: the file that LMCACHE_CONFIG_FILE
    /// names]
    #[arg(long, value_name = "FILE", conflicts_with = "serve")]
    pub(super) config_file: Option<PathBuf>,
    /// The `--l2-adapter` of LMCache's server
    #[arg(long, value_name = "JSON", conflicts_with_all = ["config_file", "serve"])]
    pub(super) l2_adapter: Option<String>,
    /// The segment that the client attaches to
    #[arg(long, value_name = "NAME", conflicts_with_all = ["l2_adapter", "serve"])]
    pub(super) shared_memory_name: Option<String>,
    /// The directory that the segment is in
    #[arg(long, value_name = "DIR", conflicts_with_all = ["l2_adapter", "serve"])]
    pub(super) shared_memory_dir: Option<PathBuf>,
    /// The path of the fast lane's socket here, or `none`
    #[arg(long, value_name = "PATH", conflicts_with_all = ["l2_adapter", "serve"])]
    pub(super) socket: Option<String>,
    /// Look at the place where `kvlease serve` is to run, with its settings from file, environment and --set
    #[arg(long)]
    pub(super) serve: bool,
    /// With --serve: TOML file of the daemon
    #[arg(long, value_name = "FILE", requires = "serve")]
    pub(super) config: Option<PathBuf>,
    /// With --serve: a setting, as of `kvlease serve --set`; may be given several times
    #[arg(long, value_name = "SECTION.KEY=VALUE", requires = "serve")]
    pub(super) set: Vec<String>,
    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
}
