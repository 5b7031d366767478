//! The flags of `kvlease serve`.

use std::path::PathBuf;

use clap::{
    Args,
    builder::{OsStringValueParser, TypedValueParser},
};

/// Flags of `kvlease serve`. What can be set by flag can be set in the file and by environment as
/// well; `--set` reaches every setting.
#[derive(Args, Clone, Default, Debug)]
pub struct ServeArgs {
    /// Address and port to serve HTTP on [default: 127.0.0.1:9200]
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<String>,

    /// Name of the shared-memory segment that clients attach to [default: shared_memory]
    #[arg(long, value_name = "NAME")]
    pub shared_memory_name: Option<String>,

    /// Size of the arena, such as 8GiB [default: a quarter of the free shared memory, up to 8GiB]
    #[arg(long, value_name = "SIZE")]
    pub capacity: Option<String>,

    /// Path of the Unix socket for clients on this machine, or `none` [default: beside the segment]
    #[arg(long, value_name = "PATH")]
    pub socket: Option<String>,

    /// Start with an empty cache, whatever an earlier daemon left in the segment
    #[arg(long)]
    pub cold: bool,

    /// TOML file to read settings from
    // clap's parser of paths refuses an empty variable, which names no file.
    #[arg(long, value_name = "FILE", env = "KVLEASE_CONFIG",
        value_parser = OsStringValueParser::new().map(PathBuf::from))]
    pub config: Option<PathBuf>,

    /// Set any setting by its name in the file, such as cache.eviction=lru; may be repeated
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,

    /// End with the process that started this one, and remove the segment
    #[arg(long, hide = true)]
    pub throwaway: bool,

    /// Print the settings that hold, as a TOML file, and exit
    #[arg(long)]
    pub print_config: bool,
}
