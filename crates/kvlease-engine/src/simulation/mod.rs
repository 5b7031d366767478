//! A cache, its clients and its ends, in virtual time.
//!
//! One thread plays everybody: uploads that are slow or die, clients that write into the arena by
//! themselves and go on when their daemon is gone, readers that copy one half now and the other
//! later, operators, somebody who flips bits, and the daemon, which is killed and started again.
//! Time passes only between operations, now and then by a leap. Engine, catalog, arena, horizon and
//! record are the real ones.
//!
//! What must hold: whoever reads within its lease and the grace reads what was stored, across any
//! number of restarts; what was sealed is there until it is removed, evicted or found damaged;
//! what was removed never comes back; nobody is told of damaged bytes by a daemon that has not
//! seen them whole.
//!
//! `KVLEASE_TEST_SEED` replays a run, `KVLEASE_TEST_OPERATIONS` makes it longer.

mod clients;
mod random;
mod world;

use random::Random;
use world::World;

/// Operations of a run unless told otherwise.
const OPERATIONS: u64 = 20_000;

#[test]
fn nobody_reads_a_wrong_byte_and_nothing_is_lost() {
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |text| text.parse().unwrap())
    };
    let seed = number("KVLEASE_TEST_SEED", 0xcafe);
    let operations = number("KVLEASE_TEST_OPERATIONS", OPERATIONS);
    println!("replay with KVLEASE_TEST_SEED={seed} KVLEASE_TEST_OPERATIONS={operations}");
    let mut world = World::new(Random::new(seed));
    for _ in 0..operations {
        world.step();
    }
    let seen = world.finish();
    println!("{operations} operations: {seen:?}");
    seen.assert_everything_happened();
}
