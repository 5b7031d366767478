//! Keys of engines: their groups, and the cache salts that say whose they are.

#![no_main]

use kvlease_types::{CacheSalt, KeyGroup, SALT_EXCLUDES, keys_of_ranks};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|key: &str| {
    let group = KeyGroup::of(key);
    if let Some(keys) = keys_of_ranks(key) {
        keys.for_each(|other| assert_eq!(KeyGroup::of(&other).is_some(), group.is_some()));
    }
    let CacheSalt::Given(salt) = CacheSalt::of(key) else { return };
    assert!(!salt.is_empty() && !salt.contains(SALT_EXCLUDES));
    let before = key.strip_suffix(salt).and_then(|before| before.strip_suffix('@'));
    let before = before.expect("the salt ends the key");
    assert_eq!(
        CacheSalt::of(before),
        CacheSalt::Missing,
        "the key without it is LMCache's as well"
    );
    // No caller comes to the salt of another by what stands in front of it.
    let other = format!("{before}@x{salt}");
    assert_ne!(CacheSalt::of(&other), CacheSalt::Given(salt));
    assert_ne!(KeyGroup::of(&other), group);
});
