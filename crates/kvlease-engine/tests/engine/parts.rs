//! Parts of a batch: requests of others come in between, and each key has the outcome of its part's moment.

use std::{
    sync::{Arc, mpsc::sync_channel},
    thread,
    time::Duration,
};

use kvlease_engine::{Engine, TierConfig};
use kvlease_sys::Digest;
use kvlease_tier::{Name, Object, Stat, Tier};
use kvlease_tier_conformance::MemoryTier;
use kvlease_types::{BucketName, ByteSize, Key, Mode};

use crate::fixture::{CALLER, Place, remove, store};

/// Keys of a batch: two whole parts and some.
const MANY: usize = 300;

/// The key of the first part for which the tier is asked.
const FAR: usize = 5;

/// A key of the second part, which is removed once the first part is done.
const REMOVED: usize = 200;

/// Limit of a wait, after which the test fails.
const WAIT_MAX: Duration = Duration::from_secs(60);

fn name(number: usize) -> String {
    format!("key {number}")
}

/// Works through a batch, whose key [`FAR`] the tier alone may have; another caller removes [`REMOVED`] when the first
/// part is done.
fn outcomes<T>(far_is_there: bool, batch: impl FnOnce(&Engine, &[&str]) -> T) -> T {
    let (ask, asked) = sync_channel(1);
    let (do_it, done) = sync_channel(1);
    let tier = Arc::new(MemoryTier::new());
    if far_is_there {
        let stat = Stat { len: ByteSize::new(3), checksum: Digest::of(b"far") };
        let far = Name {
            bucket: BucketName::new("b").unwrap(),
            key: Key::new(name(FAR).as_str()).unwrap(),
        };
        tier.server().insert(&Object { name: far, stat }, Arc::from(&b"far"[..]));
    }
    let place = Place::new();
    let engine = place.engine_with(1, |config| {
        config.tiers = vec![TierConfig::new(Arc::clone(&tier) as Arc<dyn Tier>)];
    });
    let names: Vec<_> = (0..MANY).map(name).collect();
    for name in names.iter().enumerate().filter(|(number, _)| *number != FAR).map(|(_, name)| name)
    {
        store(&engine, name, b"abc").unwrap();
    }
    tier.at_next_look(move |key| {
        assert_eq!(key, name(FAR), "only this one is not in the arena");
        ask.send(()).unwrap();
        done.recv_timeout(WAIT_MAX).expect("the catalog is free between two parts");
    });
    let keys: Vec<_> = names.iter().map(String::as_str).collect();
    thread::scope(|scope| {
        let (engine, removed) = (&engine, &names[REMOVED]);
        scope.spawn(move || {
            asked.recv_timeout(WAIT_MAX).expect("the tier is asked behind the first part");
            remove(engine, removed).unwrap();
            do_it.send(()).unwrap();
        });
        batch(engine, &keys)
    })
}

#[test]
fn keys_of_later_parts_show_what_others_did_meanwhile() {
    let is_there = |number: usize| number != FAR && number != REMOVED;
    let expected: Vec<_> = (0..MANY).map(is_there).collect();
    let found = outcomes(false, |engine, keys| engine.exists(&CALLER, "b", keys, Mode::Each));
    assert_eq!(found, expected);
    let leased = outcomes(false, |engine, keys| {
        let grants = engine.acquire(&CALLER, "b", keys, Mode::Each, None);
        grants.outcomes().iter().map(Result::is_ok).collect::<Vec<_>>()
    });
    assert_eq!(leased, expected);
}

#[test]
fn a_prefix_of_many_parts_ends_where_others_made_it_end() {
    let found = outcomes(true, |engine, keys| engine.exists(&CALLER, "b", keys, Mode::Prefix));
    let expected: Vec<_> = (0..=REMOVED).map(|number| number != REMOVED).collect();
    assert_eq!(found, expected);
}
