//! Quotas: what a tenant or a bucket may keep and ask for, and what no other one may take from it.

use std::fmt;

use crate::ByteSize;

/// The most objects, leases or requests a second that a quota can allow.
const COUNT_MAX: u64 = 1_000_000_000_000;

/// Quota of a tenant or of a bucket. What is not set is not limited.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Quota {
    /// Most space of its objects, in whole units of the arena.
    pub bytes_max: Option<ByteSize>,
    /// Space that others take nothing of: its objects leave for others only while they take more.
    pub bytes_guaranteed: Option<ByteSize>,
    /// Most objects.
    pub objects_max: Option<u64>,
    /// Most live leases.
    pub leases_max: Option<u64>,
    /// Most requests in a second; what is not used within a second is lost.
    pub requests_per_s: Option<u64>,
}

/// Owner of a quota.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum QuotaOf {
    /// A bucket.
    Bucket,
    /// The tenant that a bucket counts for.
    Tenant,
}

impl Quota {
    /// Keys of a quota, as in the configuration.
    pub const KEYS: [&'static str; 5] =
        ["bytes_max", "bytes_guaranteed", "objects_max", "leases_max", "requests_per_s"];

    /// Sets a key from a text. An error is the remedy.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "bytes_max" => self.bytes_max = Some(size(value)?),
            "bytes_guaranteed" => self.bytes_guaranteed = Some(size(value)?),
            "objects_max" => self.objects_max = Some(count(value)?),
            "leases_max" => self.leases_max = Some(count(value)?),
            "requests_per_s" => self.requests_per_s = Some(count(value)?),
            _ => return Err(format!("use one of {}", Self::KEYS.join(", "))),
        }
        Ok(())
    }

    /// The keys that are set, with their values as they are written.
    pub fn entries(&self) -> impl Iterator<Item = (&'static str, QuotaValue)> {
        let Self { bytes_max, bytes_guaranteed, objects_max, leases_max, requests_per_s } = *self;
        [
            ("bytes_max", bytes_max.map(QuotaValue::Size)),
            ("bytes_guaranteed", bytes_guaranteed.map(QuotaValue::Size)),
            ("objects_max", objects_max.map(QuotaValue::Count)),
            ("leases_max", leases_max.map(QuotaValue::Count)),
            ("requests_per_s", requests_per_s.map(QuotaValue::Count)),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
    }

    /// Whether it is about what is kept in the arena.
    pub const fn is_of_space(&self) -> bool {
        self.bytes_max.is_some() || self.bytes_guaranteed.is_some() || self.objects_max.is_some()
    }

    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Value of a key of a quota.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum QuotaValue {
    /// A size.
    Size(ByteSize),
    /// A number.
    Count(u64),
}

impl QuotaValue {
    /// The number; of a size that of its bytes.
    pub const fn number(self) -> u64 {
        match self {
            Self::Size(size) => size.bytes(),
            Self::Count(count) => count,
        }
    }
}

impl fmt::Display for QuotaValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size(size) => size.fmt(f),
            Self::Count(count) => count.fmt(f),
        }
    }
}

impl fmt::Display for QuotaOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bucket => "bucket",
            Self::Tenant => "tenant",
        })
    }
}

fn size(text: &str) -> Result<ByteSize, String> {
    match text.parse::<ByteSize>() {
        Ok(size) if size > ByteSize::ZERO => Ok(size),
        Ok(_) => Err("write a size above zero, such as `1GiB`, or leave the key out".into()),
        Err(error) => Err(error.to_string()),
    }
}

fn count(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(count @ 1..=COUNT_MAX) => Ok(count),
        _ => Err(format!("write a whole number from 1 to {COUNT_MAX}, or leave the key out")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_set_key_by_key_and_tells_what_is_set() {
        let mut quota = Quota::default();
        assert!(quota.is_empty() && !quota.is_of_space());
        let said = [
            ("bytes_max", "2GiB"),
            ("bytes_guaranteed", "512MiB"),
            ("objects_max", "7"),
            ("leases_max", "8"),
            ("requests_per_s", "9"),
        ];
        assert_eq!(said.map(|(key, _)| key), Quota::KEYS);
        for (key, value) in said {
            quota.set(key, value).unwrap();
        }
        let told: Vec<_> = quota.entries().map(|(key, value)| (key, value.to_string())).collect();
        assert_eq!(told, said.map(|(key, value)| (key, value.to_owned())));
        assert!(quota.is_of_space());
    }

    #[test]
    fn a_bad_value_has_a_remedy_and_changes_nothing() {
        for (key, value, remedy) in [
            ("bytes_max", "0", "above zero"),
            ("bytes_guaranteed", "much", "number and a unit"),
            ("objects_max", "0", "from 1 to"),
            ("leases_max", "-1", "from 1 to"),
            ("requests_per_s", "1.5", "from 1 to"),
            ("bytes", "1GiB", "use one of bytes_max"),
        ] {
            let mut quota = Quota::default();
            let line = quota.set(key, value).unwrap_err();
            assert!(line.contains(remedy), "{key}: {line}");
            assert!(quota.is_empty());
        }
    }
}
