//! Policies of buckets: what leaves first, for how long objects are kept, and which are pinned.

use std::{ops::RangeInclusive, time::Duration};

/// The most buckets that have a policy of their own.
pub const BUCKET_POLICIES_MAX: usize = 64;

/// Weight of a bucket unless its policy says otherwise, and of all buckets without a policy together.
pub const BUCKET_WEIGHT_DEFAULT: u32 = 100;

/// The largest weight.
const WEIGHT_MAX: u32 = 10_000;

/// The lowest priority.
const PRIORITY_MIN: i32 = -PRIORITY_MAX;

/// The highest priority.
const PRIORITY_MAX: i32 = 1000;

/// The most prefixes that one policy pins.
pub const PINNED_PREFIXES_MAX: usize = 8;

/// The longest of them, in bytes.
pub const PINNED_PREFIX_LEN_MAX: usize = 100;

/// The shortest and the longest time to live, in seconds: a year.
const TTL_S: RangeInclusive<f64> = 0.001..=365.0 * 24.0 * 3600.0;

/// Policy of one bucket. The default is what a bucket without one has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BucketPolicy {
    /// Objects of a lower priority leave before any of a higher one.
    pub priority: i32,
    /// Among buckets of the same priority, the one that takes the most space for its weight gives room.
    pub weight: u32,
    /// How long after it was stored an object is there at most.
    pub ttl: Option<Duration>,
    /// Beginnings of the keys whose objects eviction does not take.
    pub pinned: Vec<String>,
}

/// A value does not fit its key of a policy.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{remedy}, {key}=`{value}`")]
pub struct BucketPolicyError {
    /// The key.
    pub key: String,
    /// The value that was given.
    pub value: String,
    /// Text to write instead.
    pub remedy: String,
}

impl BucketPolicy {
    /// Keys of a policy, as in the configuration and over HTTP.
    pub const KEYS: [&'static str; 4] = ["priority", "weight", "ttl_s", "pinned"];

    /// Sets a key from a text. `pinned` adds one prefix with each call.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), BucketPolicyError> {
        self.try_set(key, value).map_err(|remedy| BucketPolicyError {
            key: key.to_owned(),
            value: value.to_owned(),
            remedy,
        })
    }

    fn try_set(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "priority" => match value.parse() {
                Ok(priority @ PRIORITY_MIN..=PRIORITY_MAX) => self.priority = priority,
                _ => {
                    return Err(format!(
                        "write a whole number from {PRIORITY_MIN} to {PRIORITY_MAX}"
                    ));
                }
            },
            "weight" => match value.parse() {
                Ok(weight @ 1..=WEIGHT_MAX) => self.weight = weight,
                _ => return Err(format!("write a whole number from 1 to {WEIGHT_MAX}")),
            },
            "ttl_s" => match value.parse() {
                Ok(seconds) if TTL_S.contains(&seconds) => {
                    self.ttl = Some(Duration::from_secs_f64(seconds));
                }
                _ => {
                    let (least, most) = (TTL_S.start(), TTL_S.end());
                    return Err(format!("write a number of seconds from {least} to {most}"));
                }
            },
            "pinned" => {
                if !(1..=PINNED_PREFIX_LEN_MAX).contains(&value.len()) {
                    return Err(format!(
                        "write the first 1 to {PINNED_PREFIX_LEN_MAX} bytes of keys"
                    ));
                }
                if !self.pinned.iter().any(|prefix| prefix == value) {
                    if self.pinned.len() == PINNED_PREFIXES_MAX {
                        return Err(format!("write at most {PINNED_PREFIXES_MAX} prefixes"));
                    }
                    self.pinned.push(value.to_owned());
                }
            }
            _ => return Err(format!("use one of {}", Self::KEYS.join(", "))),
        }
        Ok(())
    }

    /// Whether it pins objects of this key.
    pub fn pins(&self, key: &str) -> bool {
        self.pinned.iter().any(|prefix| key.starts_with(prefix.as_str()))
    }
}

impl Default for BucketPolicy {
    fn default() -> Self {
        Self { priority: 0, weight: BUCKET_WEIGHT_DEFAULT, ttl: None, pinned: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_set_key_by_key() {
        let mut policy = BucketPolicy::default();
        for (key, value) in [
            ("priority", "-3"),
            ("weight", "250"),
            ("ttl_s", "1.5"),
            ("pinned", "sys/"),
            ("pinned", "sys/"),
            ("pinned", "s"),
        ] {
            policy.set(key, value).unwrap();
        }
        let pinned = vec!["sys/".to_owned(), "s".to_owned()];
        let ttl = Some(Duration::from_millis(1500));
        assert_eq!(policy, BucketPolicy { priority: -3, weight: 250, ttl, pinned });
        assert_eq!(["sys/x", "s", "x", ""].map(|key| policy.pins(key)), [true, true, false, false]);
    }

    #[test]
    fn a_bad_value_is_named_with_its_key_and_the_remedy_and_changes_nothing() {
        let long = "x".repeat(PINNED_PREFIX_LEN_MAX + 1);
        for (key, value, remedy) in [
            ("priority", "high", "from -1000 to 1000"),
            ("priority", "1001", "from -1000 to 1000"),
            ("priority", "-1001", "from -1000 to 1000"),
            ("weight", "0", "from 1 to 10000"),
            ("weight", "10001", "from 1 to 10000"),
            ("weight", "", "from 1 to 10000"),
            ("ttl_s", "0", "from 0.001 to 31536000"),
            ("ttl_s", "NaN", "from 0.001 to 31536000"),
            ("ttl_s", "31536001", "from 0.001 to 31536000"),
            ("pinned", "", "first 1 to 100 bytes"),
            ("pinned", &long, "first 1 to 100 bytes"),
            ("prio", "1", "priority, weight, ttl_s, pinned"),
        ] {
            let mut policy = BucketPolicy::default();
            let line = policy.set(key, value).unwrap_err().to_string();
            assert!(line.contains(remedy) && line.ends_with(&format!("{key}=`{value}`")), "{line}");
            assert_eq!(policy, BucketPolicy::default());
        }
    }

    #[test]
    fn prefixes_are_few() {
        let mut policy = BucketPolicy::default();
        for number in 0..PINNED_PREFIXES_MAX {
            policy.set("pinned", &number.to_string()).unwrap();
        }
        assert_eq!(policy.set("pinned", "0"), Ok(()), "it is there");
        assert!(policy.set("pinned", "x").is_err());
    }
}
