//! The catalog against a naive model: random operations in small arenas under high pressure.
//!
//! After every operation: no unit has two owners, no object that a client may be reading was moved,
//! evicted or overwritten, every unit is accounted for, a refusal was right and changed nothing, and
//! a replay of the change log gives exactly what is published. The required readers of the log lag
//! behind: no extent is handed out while one of them still has the generation of its last tenant. A victim
//! serves until it is given up. Now and then the catalog is killed, and another one takes over from
//! what the readers had applied until then. `KVLEASE_TEST_SEED` replays a run.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod classes;
mod naive;
mod quotas;
mod readers;
mod reads;
mod restart;
mod run;
mod time;
mod writes;

use kvlease_cache::EvictionKind;
use kvlease_testing::Draws;
use run::Run;

const RUNS: u64 = 30;

/// Runs until which every outcome has come up, whatever the seed.
const RUNS_MAX: u64 = 300;

const OPERATIONS_PER_RUN: u64 = 4_000;

#[test]
fn the_catalog_agrees_with_a_naive_model() {
    let mut draws = Draws::seeded(0xc0ffee);
    let mut reached = run::Reached::default();
    let mut rounds = 0;
    while rounds < RUNS || (rounds < RUNS_MAX && reached.missing().is_some()) {
        let eviction = EvictionKind::ALL[rounds as usize % EvictionKind::ALL.len()];
        let mut run = Run::new(eviction, Draws::new(draws.next()));
        for _ in 0..OPERATIONS_PER_RUN {
            run.step();
        }
        reached.add(&run.finish());
        rounds += 1;
    }
    println!("{} operations, reached: {reached:?}", rounds * OPERATIONS_PER_RUN);
    assert_eq!(reached.missing(), None, "an outcome that never came up");
}
