//! Arguments of `kvlease replay`.

use std::{num::NonZero, path::PathBuf};

use clap::Args;
use kvlease_cache::EvictionKind;
use kvlease_client::ByteSize;

use crate::arguments;

/// Arguments of `replay`.
#[derive(Args, Debug)]
pub(crate) struct ReplayArgs {
    /// Traces: one JSON object a line, with the blocks of the prompt as `hash_ids` (Mooncake)
    #[arg(required = true, value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    /// Capacities: parts of all blocks of the trace (5%), or sizes (64GiB)
    #[arg(long, value_delimiter = ',', value_name = "CAPACITY,...",
          default_value = "1%,5%,10%,20%,50%", value_parser = capacity)]
    pub(super) capacity: Vec<Capacity>,
    /// Eviction policies [default: all]
    #[arg(long = "eviction", value_delimiter = ',', value_name = "POLICY,...",
          default_values_t = EvictionKind::ALL, hide_default_value = true, value_parser = policy)]
    pub(super) policies: Vec<EvictionKind>,
    /// Tokens of a block; 512 in Mooncake's traces
    #[arg(long, value_name = "N", default_value = "512")]
    pub(super) block_tokens: NonZero<u32>,
    /// KV of a token; 320KiB for Llama 3 70B in 16 bits
    #[arg(long, value_name = "SIZE", default_value = "320KiB", value_parser = size)]
    pub(super) token_size: ByteSize,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Draw the curves into this directory, as SVG and PNG
    #[cfg(feature = "plot")]
    #[arg(long, value_name = "DIR")]
    pub(super) plot: Option<PathBuf>,
}

/// Room of a simulated cache.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Capacity {
    /// Per cent of the distinct blocks of the trace.
    Part(f64),
    Size(ByteSize),
}

impl ReplayArgs {
    /// Bytes of a block.
    pub(super) fn block_size(&self) -> u64 {
        u64::from(self.block_tokens.get()).saturating_mul(self.token_size.bytes())
    }

    /// The capacities in blocks, ascending, for a trace with this many.
    pub(super) fn capacities(&self, blocks: u32) -> Vec<u32> {
        let in_blocks = |capacity: &Capacity| match capacity {
            Capacity::Part(part) => (f64::from(blocks) * part / 100.0) as u32,
            Capacity::Size(size) => {
                u32::try_from(size.bytes() / self.block_size()).unwrap_or(u32::MAX)
            }
        };
        let mut capacities: Vec<u32> =
            self.capacity.iter().map(|capacity| in_blocks(capacity).max(1)).collect();
        capacities.sort_unstable();
        capacities.dedup();
        capacities
    }
}

fn capacity(text: &str) -> Result<Capacity, String> {
    let Some(part) = text.strip_suffix('%') else {
        return size(text).map(Capacity::Size);
    };
    let part = part.trim().parse::<f64>().ok().filter(|part| *part > 0.0 && *part <= 1000.0);
    part.map(Capacity::Part).ok_or_else(|| "a part is above 0% and at most 1000%".to_owned())
}

fn size(text: &str) -> Result<ByteSize, String> {
    arguments::size_above_zero(text, "a size is above zero")
}

fn policy(text: &str) -> Result<EvictionKind, String> {
    text.parse().map_err(|error: kvlease_cache::ParseEvictionKindError| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capacity_is_a_part_or_a_size() {
        assert_eq!(capacity("5%"), Ok(Capacity::Part(5.0)));
        assert_eq!(capacity("0.5 %"), Ok(Capacity::Part(0.5)));
        assert_eq!(capacity("64GiB"), Ok(Capacity::Size(ByteSize::gib(64))));
        for wrong in ["0%", "-1%", "NaN%", "1001%", "%", "0", "much"] {
            assert!(capacity(wrong).is_err(), "{wrong}");
        }
    }
}
