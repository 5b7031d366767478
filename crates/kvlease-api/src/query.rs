//! Query parameters. Unknown ones are ignored: other daemons of this protocol may know more.

use std::{str::FromStr, time::Duration};

use kvlease_types::{BUCKET_LEN_MAX, KEY_LEN_MAX};

use crate::percent::{DecodeError, decode};

/// How many objects a listing returns when the request does not say.
pub const LIST_LIMIT_DEFAULT: usize = 1_000;

/// The most objects that one listing reply carries.
pub const LIST_LIMIT_MAX: usize = 10_000;

/// The longest `next` of a listing, in bytes.
pub const LIST_TOKEN_LEN_MAX: usize = 4096;

/// The shortest time to live of a lease; shorter requests get it. No client reads an object in less.
pub const TTL_MIN: Duration = Duration::from_millis(10);

/// The longest body of one page in bytes, of a listing and of the state's buckets. A page ends
/// before the item that would exceed it, and says where to go on.
pub const PAGE_LEN_MAX: usize = 512 << 10;

/// Reason why a query cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum QueryError {
    /// A value is not percent-encoded UTF-8.
    #[error("{source}, parameter=`{name}`")]
    Decode {
        /// The parameter.
        name: &'static str,
        /// The fault.
        source: DecodeError,
    },
    /// A value is not of its parameter's kind.
    #[error("the parameter must be {expected}, {name}=`{value}`")]
    Value {
        /// The parameter.
        name: &'static str,
        /// Form that it must have.
        expected: &'static str,
        /// Text that was sent.
        value: String,
    },
}

/// The parameters of a request for a lease.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct LeaseQuery {
    /// `timeout_ms`: how long the client waits for the answer.
    pub timeout: Option<Duration>,
    /// `ttl_s`: how long it wants the lease for; seconds, may be fractional.
    pub ttl: Option<Duration>,
}

impl LeaseQuery {
    /// Parses the raw query of a request.
    pub fn parse(raw_query: Option<&str>) -> Result<Self, QueryError> {
        Ok(Self { timeout: timeout(raw_query)?, ttl: ttl(raw_query)? })
    }
}

/// The parameters of a lease renewal.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct RenewQuery {
    /// `ttl_s`: the new time to live, counted from now; seconds, may be fractional.
    pub ttl: Option<Duration>,
}

impl RenewQuery {
    /// Parses the raw query of a request.
    pub fn parse(raw_query: Option<&str>) -> Result<Self, QueryError> {
        Ok(Self { ttl: ttl(raw_query)? })
    }
}

/// The parameters of a report.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ReportQuery {
    /// `generation`: which of the objects that had the key one after the other is meant.
    pub generation: Option<u64>,
}

impl ReportQuery {
    /// Parses the raw query of a request.
    pub fn parse(raw_query: Option<&str>) -> Result<Self, QueryError> {
        let generation = parameter(raw_query, "generation")?;
        let number = |value: String| match value.parse() {
            Ok(generation) => Ok(generation),
            Err(_) => Err(bad("generation", "the generation of a lease reply", value)),
        };
        Ok(Self { generation: generation.map(number).transpose()? })
    }
}

/// Tiers that a listing covers.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum ListedTiers {
    /// The arena, and the tiers that no other node uses.
    #[default]
    Local,
    /// The arena.
    Memory,
    /// The tier on the node's disk.
    Nvme,
    /// The store that nodes share.
    Remote,
    /// The arena and all tiers.
    All,
}

impl ListedTiers {
    /// All of them.
    pub const ALL: &'static [Self] =
        &[Self::Local, Self::Memory, Self::Nvme, Self::Remote, Self::All];

    /// The word for it in requests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Memory => "memory",
            Self::Nvme => "nvme",
            Self::Remote => "remote",
            Self::All => "all",
        }
    }
}

impl FromStr for ListedTiers {
    type Err = UnknownTiers;

    fn from_str(word: &str) -> Result<Self, UnknownTiers> {
        Self::ALL.iter().copied().find(|tiers| tiers.name() == word).ok_or(UnknownTiers)
    }
}

/// A word names no tiers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the tiers must be one of local, memory, nvme, remote and all")]
pub struct UnknownTiers;

/// Start of a page of a listing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ListCursor {
    /// `next_cursor` of the page before: a listing of the arena alone.
    Number(u32),
    /// `next` of the page before.
    Token(String),
}

/// The parameters of a listing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListQuery {
    /// `prefix`: only keys that start with it.
    pub prefix: String,
    /// `cursor`: where the page before ended; `None` for the first page.
    pub cursor: Option<ListCursor>,
    /// `limit`: the most objects to return, at most [`LIST_LIMIT_MAX`].
    pub limit: usize,
    /// `tier`: what is listed.
    pub tiers: ListedTiers,
}

impl ListQuery {
    /// Parses the raw query of a request.
    pub fn parse(raw_query: Option<&str>) -> Result<Self, QueryError> {
        let tiers = match parameter(raw_query, "tier")? {
            None => ListedTiers::default(),
            Some(value) => value
                .parse()
                .map_err(|_| bad("tier", "one of local, memory, nvme, remote and all", value))?,
        };
        let cursor = parameter(raw_query, "cursor")?.map(cursor).transpose()?;
        let covers_memory = !matches!(tiers, ListedTiers::Nvme | ListedTiers::Remote);
        if let Some(ListCursor::Number(number)) = cursor.as_ref().filter(|_| !covers_memory) {
            let expected = "the next of the page before: a number lists memory alone";
            return Err(bad("cursor", expected, number.to_string()));
        }
        let limit = limit(raw_query, "limit")?;
        let prefix = name(raw_query, "prefix", KEY_LEN_MAX)?.unwrap_or_default();
        Ok(Self { prefix, cursor, limit, tiers })
    }
}

fn cursor(value: String) -> Result<ListCursor, QueryError> {
    let fits = value.len() <= LIST_TOKEN_LEN_MAX;
    match value.parse() {
        // Zeros may lead a number.
        Ok(number) if fits => Ok(ListCursor::Number(number)),
        // Whether a token is one of the daemon's, only the daemon can tell.
        Err(_) if fits && value.contains('.') => Ok(ListCursor::Token(value)),
        _ => Err(bad("cursor", "the next or the next_cursor of the page before", value)),
    }
}

/// The parameters of a request for the state in numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StatsQuery {
    /// `buckets_after`: only buckets whose names are behind this one.
    pub buckets_after: String,
    /// `buckets_limit`: the most buckets to return, at most [`LIST_LIMIT_MAX`].
    pub buckets_limit: usize,
}

impl StatsQuery {
    /// Parses the raw query of a request.
    pub fn parse(raw_query: Option<&str>) -> Result<Self, QueryError> {
        let buckets_after = name(raw_query, "buckets_after", BUCKET_LEN_MAX)?.unwrap_or_default();
        Ok(Self { buckets_after, buckets_limit: limit(raw_query, "buckets_limit")? })
    }
}

/// A name or a part of one, which is no longer than names are.
pub(crate) fn name(
    raw_query: Option<&str>,
    parameter_name: &'static str,
    len_max: usize,
) -> Result<Option<String>, QueryError> {
    match parameter(raw_query, parameter_name)? {
        Some(value) if value.len() > len_max => {
            Err(bad(parameter_name, "no longer than a name may be", value))
        }
        value => Ok(value),
    }
}

/// How many items a page may have.
fn limit(raw_query: Option<&str>, name: &'static str) -> Result<usize, QueryError> {
    match parameter(raw_query, name)? {
        None => Ok(LIST_LIMIT_DEFAULT),
        Some(value) => match value.parse() {
            Ok(limit @ 1..=LIST_LIMIT_MAX) => Ok(limit),
            _ => Err(bad(name, "a whole number from 1 to 10000", value)),
        },
    }
}

/// How long something is waited for, or lasts, at most.
pub(crate) fn timeout(raw_query: Option<&str>) -> Result<Option<Duration>, QueryError> {
    let millis = |value: String| match value.parse() {
        Ok(millis) => Ok(Duration::from_millis(millis)),
        Err(_) => Err(bad("timeout_ms", "a whole number of milliseconds", value)),
    };
    parameter(raw_query, "timeout_ms")?.map(millis).transpose()
}

fn ttl(raw_query: Option<&str>) -> Result<Option<Duration>, QueryError> {
    let Some(value) = parameter(raw_query, "ttl_s")? else { return Ok(None) };
    let seconds = value.parse::<f64>().ok().filter(|seconds| *seconds > 0.0);
    // Beyond what a Duration holds is beyond every cap as well.
    match seconds {
        Some(seconds) if seconds.is_finite() => {
            let ttl = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
            Ok(Some(ttl.max(TTL_MIN)))
        }
        _ => Err(bad("ttl_s", "a positive number of seconds", value)),
    }
}

pub(crate) fn parameter(
    raw_query: Option<&str>,
    name: &'static str,
) -> Result<Option<String>, QueryError> {
    let pairs = raw_query.unwrap_or_default().split('&');
    let value = pairs.filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name);
    value
        .map(|(_, value)| decode(value).map_err(|source| QueryError::Decode { name, source }))
        .transpose()
}

pub(crate) fn bad(name: &'static str, expected: &'static str, value: String) -> QueryError {
    QueryError::Value { name, expected, value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_take_what_the_stock_clients_send() {
        let query = LeaseQuery::parse(Some("timeout_ms=5000&ttl_s=30.0")).unwrap();
        assert_eq!(query.timeout, Some(Duration::from_secs(5)));
        assert_eq!(query.ttl, Some(Duration::from_secs(30)));
        assert_eq!(LeaseQuery::parse(None), Ok(LeaseQuery::default()));
        assert_eq!(LeaseQuery::parse(Some("later=1&flag")), Ok(LeaseQuery::default()));
    }

    #[test]
    fn a_ttl_beyond_all_bounds_is_left_to_the_cap() {
        let query = LeaseQuery::parse(Some("ttl_s=1e300")).unwrap();
        assert_eq!(query.ttl, Some(Duration::MAX));
    }

    #[test]
    fn a_ttl_of_nearly_nothing_is_the_least() {
        for raw in ["ttl_s=1e-300", "ttl_s=0.000001", "ttl_s=0.01"] {
            assert_eq!(LeaseQuery::parse(Some(raw)).unwrap().ttl, Some(TTL_MIN), "{raw}");
        }
    }

    #[test]
    fn values_of_the_wrong_kind_are_named() {
        for raw in [
            "timeout_ms=-1",
            "timeout_ms=1.5",
            "ttl_s=0",
            "ttl_s=-3",
            "ttl_s=nan",
            "ttl_s=inf",
            "ttl_s=",
            "ttl_s=%zz",
        ] {
            let error = LeaseQuery::parse(Some(raw)).unwrap_err().to_string();
            assert!(error.contains(raw.split('=').next().unwrap()), "{raw}: {error}");
        }
        assert!(ListQuery::parse(Some("limit=0")).is_err());
        assert!(ListQuery::parse(Some("limit=10001")).is_err());
        for raw in ["cursor=x", "cursor=-1", "cursor=", "tier=", "tier=disk", "tier=nvme&cursor=0"]
        {
            assert!(ListQuery::parse(Some(raw)).is_err(), "{raw}");
        }
        let long = "x".repeat(LIST_TOKEN_LEN_MAX);
        assert!(ListQuery::parse(Some(&format!("cursor=.{long}"))).is_err());
        let long = "x".repeat(KEY_LEN_MAX + 1);
        assert!(ListQuery::parse(Some(&format!("prefix={long}"))).is_err());
        assert!(StatsQuery::parse(Some(&format!("buckets_after={long}"))).is_err());
        assert!(StatsQuery::parse(Some("buckets_limit=0")).is_err());
        assert!(StatsQuery::parse(Some("buckets_after=%zz")).is_err());
        assert!(ReportQuery::parse(Some("generation=-1")).is_err());
        assert_eq!(ReportQuery::parse(Some("generation=7")).unwrap().generation, Some(7));
    }

    #[test]
    fn listings_default_to_everything() {
        let query = ListQuery::parse(Some("prefix=org%2Fm")).unwrap();
        assert_eq!(
            (query.prefix.as_str(), query.cursor, query.limit, query.tiers),
            ("org/m", None, LIST_LIMIT_DEFAULT, ListedTiers::Local)
        );
    }

    #[test]
    fn listings_go_on_at_a_number_or_at_a_token_of_the_tiers_that_they_name() {
        let cursor = |raw| ListQuery::parse(Some(raw)).unwrap().cursor;
        assert_eq!(cursor("cursor=7"), Some(ListCursor::Number(7)));
        assert_eq!(cursor("cursor=ab.7&tier=nvme"), Some(ListCursor::Token("ab.7".to_owned())));
        for tiers in ListedTiers::ALL {
            let query = ListQuery::parse(Some(&format!("tier={}", tiers.name()))).unwrap();
            assert_eq!(query.tiers, *tiers);
        }
    }
}
