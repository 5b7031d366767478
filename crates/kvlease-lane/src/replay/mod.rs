//! Replay of a recorded workload: eviction is as good with reads that are only reported as with leases.

mod node;
mod trace;

use kvlease_cache::EvictionKind;

use node::{Node, Way};
use trace::Trace;

/// Parts of all blocks that the arena has room for.
const PARTS: [usize; 3] = [8, 4, 2];

/// Hit ratio that reads by the index reach at least, as a part of that of leases, in the mean of all parts:
/// one alone scatters by 0.02.
const AS_GOOD: f64 = 0.99;

/// The same with hit density, which learns from the order of uses. Reports come a quarter of a second later, and the
/// bundled trace ends about when it has learned. With the whole trace it is as good as the others.
const AS_GOOD_HIT_DENSITY: f64 = 0.97;

/// Hit ratio after which a replay would find reports that are lost.
const WORSE: f64 = 0.97;

/// Part of the blocks that are hits, in each way.
fn hit_ratios(trace: &Trace, eviction: EvictionKind, part: usize) -> [f64; 3] {
    let blocks: usize = trace.requests.iter().map(|request| request.keys.len()).sum();
    [Way::Leased, Way::Indexed, Way::Untold].map(|way| {
        let mut node = Node::new(way, eviction, trace.blocks / part);
        trace.requests.iter().for_each(|request| node.serve(request.at, &request.keys));
        assert!(way == Way::Leased || node.leased * 100 <= node.hits, "most reads are leased");
        node.hits as f64 / blocks as f64
    })
}

#[test]
fn reads_that_are_reported_keep_what_is_used_as_well_as_leases_do() {
    let trace = Trace::open();
    println!(
        "{:>8} {:>6} {:>9} {:>9} {:>9} {:>9}",
        "", "part", "leased", "indexed", "untold", "ratio"
    );
    for eviction in EvictionKind::ALL {
        let rows = PARTS.map(|part| (part, hit_ratios(&trace, eviction, part)));
        for (part, [leased, indexed, untold]) in rows {
            let ratio = indexed / leased;
            println!(
                "{eviction:>8} {part:>6} {leased:>9.4} {indexed:>9.4} {untold:>9.4} {ratio:>9.4}"
            );
        }
        let ratios = rows.map(|(_, [leased, indexed, _])| indexed / leased);
        let ratio = ratios.iter().sum::<f64>() / ratios.len() as f64;
        let as_good = match eviction {
            EvictionKind::HitDensity => AS_GOOD_HIT_DENSITY,
            EvictionKind::Lru | EvictionKind::S3Fifo => AS_GOOD,
        };
        assert!(ratio >= as_good, "{eviction}: {ratios:?}");
        let lost = rows.iter().any(|(_, [leased, _, untold])| untold / leased < WORSE);
        assert!(lost || !trace.is_bundled, "{eviction}: it would not find reports that are lost");
    }
}
