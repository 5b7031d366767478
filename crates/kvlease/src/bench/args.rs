//! Arguments of `kvlease bench`.

use clap::Args;
use kvlease_client::ByteSize;

/// Arguments of `bench`.
#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    /// Object sizes
    #[arg(long, value_delimiter = ',', value_name = "SIZE,...",
          default_value = "256KiB,1MiB,4MiB,16MiB,64MiB", value_parser = size)]
    pub(super) sizes: Vec<ByteSize>,
    /// How many clients at a time
    #[arg(long, value_delimiter = ',', value_name = "N,...", default_value = "1,4,16,64",
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) clients: Vec<u16>,
    /// Rounds that count, of which the medians are shown; one more goes ahead
    #[arg(long, default_value = "5", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(super) rounds: u16,
    /// The capacity of the daemon that is started [default: what the largest row needs]
    #[arg(long, value_name = "SIZE")]
    pub(super) capacity: Option<ByteSize>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

fn size(text: &str) -> Result<ByteSize, String> {
    match text.parse::<ByteSize>() {
        Ok(ByteSize::ZERO) => Err("an object has at least one byte".to_owned()),
        Ok(size) => Ok(size),
        Err(error) => Err(error.to_string()),
    }
}
