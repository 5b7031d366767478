//! The history of the daemon's figures: parameters and body of `GET /v1/history`, and the parameters of
//! the status page, which shows it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    query::{QueryError, bad, parameter},
    space::Total,
};

/// The most samples of one reply.
pub const HISTORY_SAMPLES_MAX: usize = 720;

/// The most buckets that the status page has on all of its pages.
pub const STATUS_BUCKETS_MAX: usize = 10_000;

/// Span of time that a history covers.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum HistorySpan {
    /// The last hour.
    #[default]
    Hour,
    /// The last day.
    Day,
}

impl HistorySpan {
    /// All of them, the shortest first.
    pub const ALL: [Self; 2] = [Self::Hour, Self::Day];

    /// The word for it in requests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    /// Seconds between two samples.
    pub const fn interval_s(self) -> u64 {
        match self {
            Self::Hour => 5,
            Self::Day => 120,
        }
    }

    fn parse(raw_query: Option<&str>) -> Result<Self, QueryError> {
        let Some(word) = parameter(raw_query, "span")? else { return Ok(Self::default()) };
        let found = Self::ALL.into_iter().find(|span| span.name() == word);
        found.ok_or_else(|| bad("span", "hour or day", word))
    }
}

/// The parameters of a request for the history.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct HistoryQuery {
    /// `span`: the time that it covers.
    pub span: HistorySpan,
    /// `since`: only samples behind this time, in seconds since 1970.
    pub since: f64,
}

impl HistoryQuery {
    /// Parses the raw query of a request.
    pub fn parse(raw_query: Option<&str>) -> Result<Self, QueryError> {
        let since = match parameter(raw_query, "since")? {
            None => 0.0,
            Some(value) => match value.parse::<f64>() {
                Ok(since) if since.is_finite() && since >= 0.0 => since,
                _ => return Err(bad("since", "a time of the history, in seconds", value)),
            },
        };
        Ok(Self { span: HistorySpan::parse(raw_query)?, since })
    }
}

/// The parameters of a request for the status page.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct StatusPageQuery {
    /// `span`: the time that its history covers.
    pub span: HistorySpan,
    /// `buckets_from`: how many larger buckets are left out, at most [`STATUS_BUCKETS_MAX`].
    pub buckets_from: usize,
}

impl StatusPageQuery {
    /// Parses the raw query of a request.
    pub fn parse(raw_query: Option<&str>) -> Result<Self, QueryError> {
        let buckets_from = match parameter(raw_query, "buckets_from")? {
            None => 0,
            Some(value) => match value.parse() {
                Ok(from @ 0..=STATUS_BUCKETS_MAX) => from,
                _ => return Err(bad("buckets_from", "a whole number from 0 to 10000", value)),
            },
        };
        Ok(Self { span: HistorySpan::parse(raw_query)?, buckets_from })
    }
}

/// Samples of the daemon's figures, oldest first. Its incarnation before this one has left none.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct HistoryReply {
    /// Seconds between two samples.
    pub interval_s: u64,
    /// When each sample was taken: seconds since 1970, by the clock of the daemon's start.
    pub times: Vec<f64>,
    /// Values by the name of their series, one for each time: of gauges at that time, of counts since the
    /// sample before. `null` where there is none.
    pub series: BTreeMap<String, Vec<Option<Total>>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_have_defaults_and_bounds() {
        assert_eq!(HistoryQuery::parse(None), Ok(HistoryQuery::default()));
        assert_eq!(StatusPageQuery::parse(Some("later=1")), Ok(StatusPageQuery::default()));
        let query = HistoryQuery::parse(Some("span=day&since=1.5")).unwrap();
        assert_eq!(query, HistoryQuery { span: HistorySpan::Day, since: 1.5 });
        let query = StatusPageQuery::parse(Some("buckets_from=10000&span=hour")).unwrap();
        assert_eq!((query.span, query.buckets_from), (HistorySpan::Hour, STATUS_BUCKETS_MAX));
        for raw in ["span=week", "span=", "since=-1", "since=nan", "since=inf", "since=x"] {
            let line = HistoryQuery::parse(Some(raw)).unwrap_err().to_string();
            assert!(line.contains(raw.split('=').next().unwrap()), "{line}");
        }
        for raw in ["span=Hour", "buckets_from=-1", "buckets_from=10001", "buckets_from=%zz"] {
            assert!(StatusPageQuery::parse(Some(raw)).is_err(), "{raw}");
        }
    }

    #[test]
    fn a_span_is_as_long_as_its_name_says() {
        let seconds = |span: HistorySpan| span.interval_s() * HISTORY_SAMPLES_MAX as u64;
        assert_eq!(HistorySpan::ALL.map(seconds), [3_600, 86_400]);
    }
}
