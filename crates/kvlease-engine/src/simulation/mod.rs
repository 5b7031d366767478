//! A cache, its clients and its ends, in virtual time.
//!
//! One thread plays everybody: uploads that are slow or die, clients that write into the arena by
//! themselves and go on when their daemon is gone, readers that copy one half now and the other
//! later, readers without a lease, operators, a fault that flips bits, and the daemon, which is killed and started again.
//! Time passes only between operations, now and then by a leap. Engine, catalog, arena, lease fence and
//! manifest are the real ones.
//!
//! Invariants, across any number of restarts: a client that reads within its lease and the grace
//! reads the bytes that were stored; a sealed object is there until it is removed, evicted or found
//! corrupt; a removed object never comes back; a daemon grants a lease on corrupt bytes only if it
//! verified them before they changed.
//!
//! `KVLEASE_TEST_SEED` replays a run, `KVLEASE_TEST_ROUNDS` says how many operations it has.

mod changes;
mod clients;
mod peeks;
mod reads;
mod world;
mod writes;

use kvlease_testing::{Draws, rounds};
use world::World;

/// Operations of a run by default.
const OPERATIONS: usize = 20_000;

#[test]
fn nobody_reads_a_wrong_byte_and_nothing_is_lost() {
    let operations = rounds(OPERATIONS);
    let mut world = World::new(Draws::seeded(0xcafe));
    for _ in 0..operations {
        world.step();
    }
    let seen = world.finish();
    println!("{operations} operations: {seen:?}");
    seen.assert_everything_happened();
}
