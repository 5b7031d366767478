//! Arguments of `kvlease replay`.

use std::{num::NonZero, path::PathBuf};

use clap::Args;
use kvlease_cache::EvictionKind;
use kvlease_client::ByteSize;

use super::{
    terms::{Routing, Speed},
    trace::Trace,
};
use crate::arguments;

/// Arguments of `replay`.
#[derive(Args, Debug)]
pub(crate) struct ReplayArgs {
    /// Captures of a daemon, or public traces: one JSON object a line, with the blocks of the prompt as
    /// `hash_ids` (Mooncake and others)
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
    /// Tokens of a block [default: as the trace tells, or else 512, as in Mooncake's traces]
    #[arg(long, value_name = "N")]
    block_tokens: Option<NonZero<u32>>,
    /// KV of a token; 320KiB for Llama 3 70B in 16 bits
    #[arg(long, value_name = "SIZE", default_value = "320KiB", value_parser = size)]
    token_size: ByteSize,
    /// Only the first requests
    #[arg(long, value_name = "N")]
    pub(super) requests: Option<NonZero<usize>>,
    /// Nodes with a cache each, over a tier that they share
    #[arg(long, value_name = "N")]
    pub(super) nodes: Option<NonZero<u32>>,
    /// How requests are given to nodes
    #[arg(long, value_name = "HOW", default_value = "round-robin", requires = "nodes")]
    pub(super) routing: Routing,
    /// Room of the tier that nodes share, as a capacity [default: for everything]
    #[arg(long, value_name = "CAPACITY", value_parser = capacity, requires = "nodes")]
    pub(super) shared: Option<Capacity>,
    /// With --url: how many times as fast as the trace, or `max`
    #[arg(long, value_name = "SPEED", default_value = "max", value_parser = speed)]
    pub(super) speed: Speed,
    /// With --url: part of the blocks of the trace that the daemon's arena is to hold. The objects that
    /// are put have the size that this makes
    #[arg(long, value_name = "PART", default_value = "5%", value_parser = part)]
    pub(super) share: f64,
    /// Whether the command line names a daemon. A variable that is meant for other commands does not
    #[arg(skip)]
    pub(crate) is_live: bool,
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

/// Size of a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct BlockSize {
    pub(super) tokens: u32,
    pub(super) bytes: u64,
}

impl Capacity {
    /// In blocks, of a trace with this many; one at least.
    pub(super) fn in_blocks(self, blocks: u32, size: BlockSize) -> u32 {
        let found = match self {
            Self::Part(part) => (f64::from(blocks) * part / 100.0) as u32,
            Self::Size(bytes) => {
                u32::try_from(bytes.bytes() / size.bytes.max(1)).unwrap_or(u32::MAX)
            }
        };
        found.max(1)
    }
}

impl ReplayArgs {
    /// Size of a block of a trace. A capture has objects of a length, and tells no tokens.
    pub(super) fn block_size(&self, trace: &Trace) -> BlockSize {
        let token = self.token_size.bytes();
        if let Some(object) = trace.object_size().filter(|_| self.block_tokens.is_none()) {
            let tokens = u32::try_from(object.bytes() / token).unwrap_or(u32::MAX);
            return BlockSize { tokens: tokens.max(1), bytes: object.bytes() };
        }
        let told = self.block_tokens.map(NonZero::get).or(trace.block_tokens());
        let tokens = told.unwrap_or(BLOCK_TOKENS).max(1);
        BlockSize { tokens, bytes: u64::from(tokens).saturating_mul(token) }
    }

    /// Size of objects of which an arena of `capacity` bytes holds the share of the trace's blocks.
    pub(super) fn object_size(&self, trace: &Trace, capacity: u64) -> u64 {
        let held = (f64::from(trace.blocks()) * self.share / 100.0).max(1.0);
        let units = (capacity as f64 / held) as u64 / UNIT;
        (units * UNIT).clamp(UNIT, OBJECT_LEN_MAX)
    }

    /// The capacities in blocks, ascending, for a trace with this many.
    pub(super) fn capacities(&self, blocks: u32, size: BlockSize) -> Vec<u32> {
        let in_blocks = |capacity: &Capacity| capacity.in_blocks(blocks, size);
        let mut capacities: Vec<u32> = self.capacity.iter().map(in_blocks).collect();
        capacities.sort_unstable();
        capacities.dedup();
        capacities
    }
}

/// Tokens of a block of Mooncake's traces.
const BLOCK_TOKENS: u32 = 512;

/// Space of an arena is given in units of this.
const UNIT: u64 = 4_096;

/// The largest object that is put into a daemon.
const OBJECT_LEN_MAX: u64 = 64 << 20;

fn speed(text: &str) -> Result<Speed, String> {
    if text == "max" {
        return Ok(Speed::Max);
    }
    let times = text.parse::<f64>().ok().filter(|times| *times > 0.0 && *times <= 1e6);
    times.map(Speed::Times).ok_or_else(|| "a speed is a number above 0, or `max`".to_owned())
}

fn part(text: &str) -> Result<f64, String> {
    match capacity(text)? {
        Capacity::Part(part) => Ok(part),
        Capacity::Size(_) => Err("a part is written as `5%`".to_owned()),
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
