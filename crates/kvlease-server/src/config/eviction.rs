//! Setting of the eviction policy: one of them, or the daemon's choice.

use std::{fmt, str::FromStr};

use kvlease_cache::EvictionKind;

/// Eviction policy as configured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Eviction {
    /// This one.
    Always(EvictionKind),
    /// The one that the live curve tells to be best.
    Auto,
}

/// Word for the daemon's choice.
const AUTO: &str = "auto";

impl Eviction {
    /// The policy that a daemon starts with.
    pub fn first(self) -> EvictionKind {
        match self {
            Self::Always(kind) => kind,
            Self::Auto => EvictionKind::default(),
        }
    }
}

impl fmt::Display for Eviction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always(kind) => kind.fmt(f),
            Self::Auto => f.write_str(AUTO),
        }
    }
}

impl FromStr for Eviction {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == AUTO {
            return Ok(Self::Auto);
        }
        let kind = text.parse().map_err(|error| format!("{error}, or `{AUTO}`"));
        kind.map(Self::Always)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_written_the_way_it_is_read() {
        let kinds = EvictionKind::ALL.map(Eviction::Always);
        for eviction in kinds.into_iter().chain([Eviction::Auto]) {
            assert_eq!(eviction.to_string().parse(), Ok(eviction));
        }
        let remedy = "AUTO".parse::<Eviction>().unwrap_err();
        assert!(remedy.ends_with("or `auto`"), "{remedy}");
    }
}
