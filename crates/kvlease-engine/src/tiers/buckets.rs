//! Sets of buckets.

use std::{collections::BTreeSet, convert::Infallible, fmt, str::FromStr};

/// Buckets to which a policy applies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BucketSet {
    /// Every bucket.
    All,
    /// These buckets; none of them if it is empty.
    Named(BTreeSet<String>),
}

impl BucketSet {
    /// No bucket.
    pub const NONE: Self = Self::Named(BTreeSet::new());

    /// Whether the bucket is one of them.
    pub fn contains(&self, bucket: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.contains(bucket),
        }
    }
}

impl fmt::Display for BucketSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Named(names) if names.is_empty() => f.write_str("none"),
            Self::Named(names) => {
                f.write_str(&names.iter().map(String::as_str).collect::<Vec<_>>().join(","))
            }
        }
    }
}

impl FromStr for BucketSet {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text.trim() {
            "all" => Self::All,
            "none" => Self::NONE,
            names => {
                let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
                Self::Named(names.map(str::to_owned).collect())
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_written_the_way_it_parses() {
        for (text, in_a, in_c) in
            [("all", true, true), ("none", false, false), ("a,b", true, false), ("c", false, true)]
        {
            let set: BucketSet = text.parse().expect("any text is a set");
            assert_eq!(set.to_string(), text);
            assert_eq!((set.contains("a"), set.contains("c")), (in_a, in_c), "{text}");
        }
        assert_eq!(" b, a ,".parse::<BucketSet>().expect("any text is a set").to_string(), "a,b");
    }
}
