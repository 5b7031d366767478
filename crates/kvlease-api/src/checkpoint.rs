//! Checkpoints over HTTP, as the client of `amzn-sagemaker-checkpointing` asks for them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::query::{LIST_LIMIT_MAX, QueryError, bad, parameter};

/// The header in which a client describes the bytes of a shard. Readers get it back as it was sent.
pub const SHARD_META_HEADER: &str = "shard-meta";

/// How many steps each rank keeps when the request does not say.
const STEPS_RETAINED_DEFAULT: u32 = 3;

/// How many steps a list names when the request does not say.
const LATEST_LIMIT_DEFAULT: usize = 5;

/// The parameters of a request for a new namespace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NamespaceQuery {
    /// `num_ranks`: shards of a step, the one with the metadata included.
    pub num_ranks: u32,
    /// `steps_retained`: steps that each rank keeps.
    pub steps_retained: u32,
}

impl NamespaceQuery {
    /// Parses the raw query of a request.
    pub fn parse(raw_query: Option<&str>) -> Result<Self, QueryError> {
        let num_ranks = count(raw_query, "num_ranks")?;
        let steps_retained = count(raw_query, "steps_retained")?.unwrap_or(STEPS_RETAINED_DEFAULT);
        match num_ranks {
            Some(num_ranks) => Ok(Self { num_ranks, steps_retained }),
            None => Err(bad("num_ranks", "given", String::new())),
        }
    }
}

/// The parameters of a request for the newest steps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LatestQuery {
    /// `limit`: the most steps to name.
    pub limit: usize,
}

impl LatestQuery {
    /// Parses the raw query of a request.
    pub fn parse(raw_query: Option<&str>) -> Result<Self, QueryError> {
        let Some(value) = parameter(raw_query, "limit")? else {
            return Ok(Self { limit: LATEST_LIMIT_DEFAULT });
        };
        match value.parse() {
            Ok(limit @ 1..=LIST_LIMIT_MAX) => Ok(Self { limit }),
            _ => Err(bad("limit", "a whole number from 1 to 10000", value)),
        }
    }
}

fn count(raw_query: Option<&str>, name: &'static str) -> Result<Option<u32>, QueryError> {
    let Some(value) = parameter(raw_query, name)? else { return Ok(None) };
    match value.parse() {
        Ok(count @ 1..) => Ok(Some(count)),
        _ => Err(bad(name, "a whole number from 1 to 4294967295", value)),
    }
}

/// A namespace of checkpoints.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct NamespaceReply {
    /// Shards of a step, the one with the metadata included.
    pub num_ranks: u32,
    /// Steps that each rank keeps.
    pub steps_to_retain_per_rank: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_takes_what_the_client_sends() {
        let query = NamespaceQuery::parse(Some("num_ranks=3&steps_retained=2"));
        assert_eq!(query, Ok(NamespaceQuery { num_ranks: 3, steps_retained: 2 }));
        let query = NamespaceQuery::parse(Some("num_ranks=1")).unwrap();
        assert_eq!(query.steps_retained, 3);
        for raw in ["", "steps_retained=3", "num_ranks=0", "num_ranks=x", "num_ranks=4294967296"] {
            assert!(NamespaceQuery::parse(Some(raw)).is_err(), "{raw}");
        }
        assert!(NamespaceQuery::parse(Some("num_ranks=1&steps_retained=0")).is_err());
    }

    #[test]
    fn a_list_of_steps_has_a_limit() {
        assert_eq!(LatestQuery::parse(None), Ok(LatestQuery { limit: 5 }));
        assert_eq!(LatestQuery::parse(Some("limit=3")), Ok(LatestQuery { limit: 3 }));
        for raw in ["limit=0", "limit=10001", "limit=-1", "limit=x"] {
            assert!(LatestQuery::parse(Some(raw)).is_err(), "{raw}");
        }
    }
}
