//! Recorded workload: the times of requests, and the blocks of their prompts.

use std::time::Duration;

/// Part of a public trace, see the `README.md` beside it.
pub const MOONCAKE_CONVERSATION: &str = include_str!("../../traces/mooncake-conversation.txt");

/// Requests of a trace in that format: for each the time since the first one, and the numbers of the blocks of its
/// prompt, in their order.
///
/// # Panics
///
/// If a line has another format.
pub fn requests(trace: &str) -> impl Iterator<Item = (Duration, Vec<u64>)> {
    trace.lines().map(|line| request(line).unwrap_or_else(|| panic!("no request: {line}")))
}

fn request(line: &str) -> Option<(Duration, Vec<u64>)> {
    let (at, runs) = line.split_once(' ')?;
    let mut blocks = Vec::new();
    for run in runs.split(' ') {
        let (first, last) = run.split_once('-')?;
        blocks.extend(first.parse::<u64>().ok()?..=last.parse().ok()?);
    }
    Some((Duration::from_millis(at.parse().ok()?), blocks))
}
