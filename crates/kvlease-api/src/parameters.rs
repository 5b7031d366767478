//! Parameters of the operations: in paths, queries and headers.

use serde_json::{Value, json};

use crate::{BLOCKS_HEADER, LAST_EVENT_ID_HEADER, SHARD_META_HEADER};

/// A parameter as the OpenAPI document has it.
pub(crate) struct Parameter {
    place: &'static str,
    pub(crate) name: &'static str,
    /// Schema in JSON.
    pub(crate) schema: &'static str,
    description: &'static str,
}

impl Parameter {
    const fn new(
        place: &'static str,
        name: &'static str,
        schema: &'static str,
        description: &'static str,
    ) -> Self {
        Self { place, name, schema, description }
    }

    /// The one that a template of a path names.
    pub(crate) fn in_path(name: &str) -> &'static Self {
        let known = [&BUCKET, &KEY, &LEASE, &NAMESPACE, &RANK, &STEP, &ASSET];
        known.into_iter().find(|parameter| parameter.name == name).expect("each name is documented")
    }

    /// Whether it is one of the query; others are in the path and in headers.
    #[cfg(test)]
    pub(crate) fn is_in_query(&self) -> bool {
        self.place == "query"
    }

    pub(crate) fn document(&self) -> Value {
        json!({
            "name": self.name,
            "in": self.place,
            "required": self.place == "path",
            "description": self.description,
            "schema": serde_json::from_str::<Value>(self.schema).expect("schemas are JSON"),
        })
    }
}

const BUCKET: Parameter = Parameter::new(
    "path",
    "bucket",
    r#"{"type": "string", "minLength": 1, "maxLength": 255}"#,
    "a namespace of keys, percent-encoded; `lmcache` unless clients say otherwise",
);
const KEY: Parameter = Parameter::new(
    "path",
    "key",
    r#"{"type": "string", "minLength": 1, "maxLength": 2048}"#,
    "percent-encoded; `/` inside a key is `%2F`",
);
const LEASE: Parameter = Parameter::new(
    "path",
    "id",
    r#"{"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[A-Za-z0-9_-]+$"}"#,
    "the `id` of the lease reply",
);
const NAMESPACE: Parameter = Parameter::new(
    "path",
    "namespace",
    r#"{"type": "string", "minLength": 1, "maxLength": 236}"#,
    "a namespace of checkpoints, percent-encoded",
);
const RANK: Parameter = Parameter::new(
    "path",
    "rank",
    r#"{"type": "integer", "minimum": 0, "maximum": 4294967295}"#,
    "the rank that wrote the shard; the last one has the metadata",
);
const STEP: Parameter = Parameter::new(
    "path",
    "step",
    r#"{"type": "integer", "minimum": 0, "maximum": 18446744073709551615}"#,
    "the step of the training",
);
const ASSET: Parameter = Parameter::new(
    "path",
    "asset",
    r#"{"type": "string", "minLength": 1, "maxLength": 255}"#,
    "a file that the status page names; another version of it has another name",
);
pub(crate) const SPAN: Parameter = Parameter::new(
    "query",
    "span",
    r#"{"type": "string", "enum": ["hour", "day"], "default": "hour"}"#,
    "the time that the history covers: an hour with a sample each 5 s, or a day with one each 120 s",
);
pub(crate) const SINCE: Parameter = Parameter::new(
    "query",
    "since",
    r#"{"type": "number", "minimum": 0, "default": 0}"#,
    "only samples behind this time, in seconds since 1970: the last of `times` that the client has",
);
pub(crate) const BUCKETS_FROM: Parameter = Parameter::new(
    "query",
    "buckets_from",
    r#"{"type": "integer", "minimum": 0, "maximum": 10000, "default": 0}"#,
    "how many larger buckets are left out",
);
pub(crate) const NUM_RANKS: Parameter = Parameter::new(
    "query",
    "num_ranks",
    r#"{"type": "integer", "minimum": 1, "maximum": 4294967295}"#,
    "shards of a step, the one with the metadata included; to be given",
);
pub(crate) const STEPS_RETAINED: Parameter = Parameter::new(
    "query",
    "steps_retained",
    r#"{"type": "integer", "minimum": 1, "maximum": 4294967295, "default": 3}"#,
    "steps that each rank keeps",
);
pub(crate) const LATEST_LIMIT: Parameter = Parameter::new(
    "query",
    "limit",
    r#"{"type": "integer", "minimum": 1, "maximum": 10000, "default": 5}"#,
    "the most steps to name, 1 to 10000; 5 unless given",
);
pub(crate) const SHARD_META: Parameter = Parameter::new(
    "header",
    SHARD_META_HEADER,
    r#"{"type": "string", "maxLength": 1024, "pattern": "^[\\t -~]*$"}"#,
    "description of the bytes, for readers",
);
pub(crate) const TTL: Parameter = Parameter::new(
    "query",
    "ttl_s",
    r#"{"type": "number", "exclusiveMinimum": 0}"#,
    "the time to live to grant, in seconds; the daemon caps it",
);
pub(crate) const PRIORITY: Parameter = Parameter::new(
    "query",
    "priority",
    r#"{"type": "integer", "minimum": -1000, "maximum": 1000, "default": 0}"#,
    "objects of a lower priority leave before any of a higher one",
);
pub(crate) const WEIGHT: Parameter = Parameter::new(
    "query",
    "weight",
    r#"{"type": "integer", "minimum": 1, "maximum": 10000, "default": 100}"#,
    "among buckets of the same priority, the one that takes the most space for its weight gives room; all \
        buckets without a policy together have 100",
);
pub(crate) const TTL_OF_OBJECTS: Parameter = Parameter::new(
    "query",
    "ttl_s",
    r#"{"type": "number", "minimum": 0.001, "maximum": 31536000}"#,
    "seconds after it was stored for which an object is there at most; without it, for ever",
);
pub(crate) const PINNED: Parameter = Parameter::new(
    "query",
    "pinned",
    r#"{"type": "string", "minLength": 1, "maxLength": 100}"#,
    "beginning of the keys whose objects eviction does not take; may be given 8 times",
);
pub(crate) const TIMEOUT: Parameter = Parameter::new(
    "query",
    "timeout_ms",
    r#"{"type": "integer", "minimum": 0, "maximum": 18446744073709551615}"#,
    "how long the client waits; an object that is being written is waited for a \
        little less than that",
);
pub(crate) const GENERATION: Parameter = Parameter::new(
    "query",
    "generation",
    r#"{"type": "integer", "minimum": 0, "maximum": 18446744073709551615}"#,
    "`generation` of the lease reply; without it the object that has the key now is meant",
);
pub(crate) const PREFIX: Parameter = Parameter::new(
    "query",
    "prefix",
    r#"{"type": "string", "maxLength": 2048}"#,
    "only keys that start with it",
);
pub(crate) const CURSOR: Parameter = Parameter::new(
    "query",
    "cursor",
    r#"{"type": "string", "maxLength": 4096}"#,
    "`next` of the page before, with the same bucket, prefix and tier; or its \
        `next_cursor`, a number from 0 on, to list memory alone",
);
pub(crate) const TIER: Parameter = Parameter::new(
    "query",
    "tier",
    r#"{"type": "string", "enum": ["local", "memory", "nvme", "remote", "all"], "default": "local"}"#,
    "what is listed: `local` is memory and the tier on the node's disk; a shared store \
        is listed by `remote` and by `all`",
);
pub(crate) const LIMIT: Parameter = Parameter::new(
    "query",
    "limit",
    r#"{"type": "integer", "minimum": 1, "maximum": 10000, "default": 1000}"#,
    "the most objects to return, 1 to 10000; 1000 unless given",
);

pub(crate) const BLOCKS: Parameter = Parameter::new(
    "header",
    BLOCKS_HEADER,
    r#"{"type": "string", "maxLength": 8192}"#,
    "the engine's blocks in the object, as JSON, for KV events; ignored unless they are published",
);
pub(crate) const EVENTS_BUCKET: Parameter = Parameter::new(
    "query",
    "bucket",
    r#"{"type": "string", "maxLength": 255}"#,
    "only events of this bucket",
);
pub(crate) const EVENTS_SNAPSHOT: Parameter = Parameter::new(
    "query",
    "snapshot",
    r#"{"type": "boolean", "default": true}"#,
    "whether the objects that are there come first, and behind an event `lost`",
);
pub(crate) const EVENTS_TIMEOUT: Parameter = Parameter::new(
    "query",
    "timeout_ms",
    r#"{"type": "integer", "minimum": 0, "maximum": 18446744073709551615}"#,
    "how long the stream lasts at most; without it, until either side ends it",
);
pub(crate) const LAST_EVENT_ID: Parameter = Parameter::new(
    "header",
    LAST_EVENT_ID_HEADER,
    r#"{"type": "string", "maxLength": 255, "pattern": "^[ -~]*$"}"#,
    "`id` of the last event that the client has: the stream goes on behind it",
);
pub(crate) const BUCKETS_AFTER: Parameter = Parameter::new(
    "query",
    "buckets_after",
    r#"{"type": "string", "maxLength": 255}"#,
    "`next_buckets_after` of the page before",
);
pub(crate) const BUCKETS_LIMIT: Parameter = Parameter::new(
    "query",
    "buckets_limit",
    r#"{"type": "integer", "minimum": 1, "maximum": 10000, "default": 1000}"#,
    "the most buckets to return, 1 to 10000; 1000 unless given",
);
