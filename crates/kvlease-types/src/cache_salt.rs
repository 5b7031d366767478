//! Cache salts: the field in keys of LMCache's server that keeps its users apart.
//!
//! vLLM has one with each request of a user. LMCache's server puts it behind the hash of the key, see
//! [`KeyGroup`](crate::KeyGroup), so users with different salts never find objects of each other.

use crate::key_group::{EngineKey, ServerKey};

/// The longest salt that LMCache takes, in characters.
const SALT_LEN_MAX: usize = 128;

/// Characters that no salt of LMCache has.
pub const SALT_EXCLUDES: [char; 4] = ['@', '/', '\\', '\0'];

/// Cache salt of a key, as far as it has one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CacheSalt<'k> {
    /// The key is of LMCache's server, and has this one.
    Given(&'k str),
    /// The key is one of LMCache, without a salt that LMCache takes.
    Missing,
    /// The key is none of LMCache, whose keys alone have salts.
    Other,
}

impl<'k> CacheSalt<'k> {
    /// The salt of a key.
    pub fn of(key: &'k str) -> Self {
        let Some((model, rest)) = key.split_once('@') else { return Self::Other };
        match ServerKey::parse(key, model, rest) {
            Some(ServerKey { salt, .. }) if is_salt(salt) => Self::Given(salt),
            Some(_) => Self::Missing,
            None if EngineKey::parse(key, model, rest).is_some() => Self::Missing,
            None => Self::Other,
        }
    }
}

fn is_salt(text: &str) -> bool {
    !text.is_empty() && !text.contains(SALT_EXCLUDES) && text.chars().nth(SALT_LEN_MAX).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KeyGroup;

    /// Keys that LMCache's own classes and kvlease's own backends made.
    const MADE: &str = include_str!("../tests/keys_of_engines.txt");

    const HASH: &str = "00ff";

    #[test]
    fn the_salt_is_the_field_behind_the_hash_of_a_servers_key() {
        let longest = "\u{fc}".repeat(SALT_LEN_MAX);
        for salt in ["a", "alice", "team:1", "a%b", "00ff", " ", "\u{fc}ser", longest.as_str()] {
            for model in ["m", "org/m", "vllm", "sglang", "1"] {
                let key = format!("{model}@01000000@0@{HASH}@{salt}");
                assert_eq!(CacheSalt::of(&key), CacheSalt::Given(salt), "{key}");
            }
        }
    }

    #[test]
    fn a_key_of_lmcache_without_a_salt_that_it_takes_has_none() {
        let too_long = "s".repeat(SALT_LEN_MAX + 1);
        for salt in ["", "@", "@a/b", "@a\\b", "@a\0", &format!("@{too_long}")] {
            let key = format!("m@01000000@0@{HASH}{salt}");
            assert_eq!(CacheSalt::of(&key), CacheSalt::Missing, "{key:?}");
        }
        for key in ["m@2@0@ab@half", "m@1@0@ab@half", "m@2@1@-ab@half@3", "m@2@0@ab@half@tag%salt"]
        {
            assert_eq!(CacheSalt::of(key), CacheSalt::Missing, "{key}");
        }
    }

    #[test]
    fn other_keys_are_none_of_lmcache() {
        for key in [
            "",
            "@",
            "key",
            "some/key",
            "@01000000@0@00ff@salt",
            "a@b@01000000@0@00ff@salt",
            "m@0100000@0@00ff@salt",
            "m@010000000@0@00ff@salt",
            "m@0100000G@0@00ff@salt",
            "m@01000000@@00ff@salt",
            "m@01000000@0@@salt",
            "m@01000000@0@00FF@salt",
            "m@01000000@0@00ff@salt@more",
            "vllm@m@0123456789abcdef@0011223300000000",
            "sglang@m@0123456789abcdef-0123456789abcdef@00",
        ] {
            assert_eq!(CacheSalt::of(key), CacheSalt::Other, "{key}");
        }
    }

    #[test]
    fn the_keys_that_engines_make_have_the_salts_that_they_end_with() {
        let mut counts = [0; 3];
        for line in MADE.lines().filter(|line| !line.starts_with('#')) {
            let (_, key) = line.split_once('\t').expect("a line has a group and a key");
            let place = match CacheSalt::of(key) {
                CacheSalt::Given(salt) => {
                    assert!(key.ends_with(&format!("@{salt}")), "{key}");
                    0
                }
                CacheSalt::Missing => 1,
                CacheSalt::Other => {
                    assert!(["vllm@", "sglang@"].iter().any(|own| key.starts_with(own)), "{key}");
                    2
                }
            };
            counts[place] += 1;
        }
        assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    }

    /// A salt that is found in anything put together of parts of keys is one that LMCache takes, is the end of the key, and
    /// keys of one group have the same.
    #[test]
    fn keys_put_together_at_random_never_lend_their_salt() {
        const PARTS: [&str; 16] = [
            "m", "@", "@", "@", "01000000", "02000001", "0", "1", "00ff", "half", "alice", "bob",
            "/", "\0", "%", "\u{fc}",
        ];
        let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut next = |below: u64| {
            // A step of xorshift64: the same keys in every run.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % below).unwrap()
        };
        let mut given = 0;
        for turn in 0..200_000 {
            let key: String = match turn % 2 {
                0 => (0..next(12)).map(|_| PARTS[next(16)]).collect(),
                // Mostly right, so that many have a salt.
                _ => {
                    let mut fields = ["m", "02000001", "0", "00ff", "alice"].map(str::to_owned);
                    fields[next(5)] = PARTS[next(16)].to_owned();
                    fields.join("@")
                }
            };
            let CacheSalt::Given(salt) = CacheSalt::of(&key) else { continue };
            given += 1;
            assert!(is_salt(salt) && key.ends_with(&format!("@{salt}")), "{key:?}");
            let other = format!("{}{salt}x", key.strip_suffix(salt).unwrap());
            assert_ne!(CacheSalt::of(&other), CacheSalt::Given(salt), "{key:?}");
            let group = KeyGroup::of(&key).expect("LMCache's server makes such a key");
            assert_ne!(KeyGroup::of(&other), Some(group), "a group has one salt: {key:?}");
        }
        assert!(given > 1_000, "{given}");
    }
}
