//! Thread that makes and verifies bytes and sends no request: it shares the cores and nothing else.

use std::time::{Duration, Instant};

use kvlease_harness::Payload;
use kvlease_testing::Draws;

use super::{pause::rest, report::Tally};

/// Shortest and longest payload: those of a batch of the fast lane's clients.
const LEN_MIN: u64 = 1 << 10;
const LEN_MAX: u64 = 1 << 20;

/// Works while `goes_on`, with a pause after each turn.
pub(super) fn work(
    seed: u64,
    number: usize,
    pause: Duration,
    goes_on: impl Fn() -> bool,
) -> anyhow::Result<Tally> {
    let (mut draws, mut tally) = (Draws::of(seed, number as u64), Tally::default());
    while goes_on() {
        let started = Instant::now();
        let len = draws.log_between(LEN_MIN, LEN_MAX) as usize;
        let bytes = Payload::new("busy", 1, len).bytes();
        let verified = Payload::verify("busy", &bytes);
        verified.map_err(|wrong| anyhow::anyhow!("wrong bytes in private memory, {wrong}"))?;
        tally.bytes += len as u64;
        tally.calls.push(started.elapsed());
        rest(pause);
    }
    Ok(tally)
}
