//! The OpenAPI document, made from the table of endpoints and from the bodies' types.
//!
//! When the API changes: change [`documentation`] and the types in `body.rs`, then run
//! `cargo xtask openapi`, which rewrites `openapi.json` at the root of this crate. A test fails
//! while the two differ, and a test of the server asks it for every endpoint.

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::{
    BucketsReply, CHECKSUM_HEADER, EPOCH_HEADER, EVENT_STREAM, ErrorBody,
    ErrorCode::{
        self, BodyIncomplete, Exists, Forbidden, Invalid, LengthRequired, NoSpace, NotFound,
        StillWriting, TooLarge, TooManyRequests, Unauthorized, Unavailable,
    },
    HistoryReply, JSON, LeaseReply, ListReply, LocationsReply, NamespaceReply, OCTETS, PolicyReply,
    REQUEST_ID_HEADER, RenewReply, SEGMENT_HEADER, SHARD_META_HEADER, SOCKET_HEADER, StatsReply,
    StoredReply, TiersReply,
    endpoint::{Endpoint, placeholder},
    parameters::{
        BLOCKS, BUCKETS_AFTER, BUCKETS_FROM, BUCKETS_LIMIT, CURSOR, EVENTS_BUCKET, EVENTS_SNAPSHOT,
        EVENTS_TIMEOUT, GENERATION, LAST_EVENT_ID, LATEST_LIMIT, LIMIT, NUM_RANKS, PINNED, PREFIX,
        PRIORITY, Parameter, SHARD_META, SINCE, SPAN, STEPS_RETAINED, TIER, TIMEOUT, TTL,
        TTL_OF_OBJECTS, WEIGHT,
    },
};

/// The document as it is served and checked in, pretty-printed, with a line end behind it.
pub fn openapi_document() -> String {
    let settings = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into());
    let mut schemas = settings.into_generator();
    let mut paths = Map::new();
    for endpoint in Endpoint::ALL {
        let path = paths.entry(endpoint.path()).or_insert_with(|| json!({}));
        let method = endpoint.method().to_ascii_lowercase();
        path[&method] = documentation(*endpoint).document(endpoint.path(), &mut schemas);
        // A HEAD is answered like a GET, without the body.
        if method == "get" && path.get("head").is_none() {
            path["head"] = without_bodies(path["get"].clone());
        }
    }
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "kvlease",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            "description": "The HyperPod KV protocol as kvlease speaks it. Operations and fields \
                marked as additions are not known from other daemons of this protocol.",
        },
        "paths": paths,
        "components": { "schemas": schemas.take_definitions(true) },
    });
    let mut text =
        serde_json::to_string_pretty(&document).expect("a tree of JSON values always serialises");
    text.push('\n');
    text
}

/// Status of a request with a head that is too long, which every operation may have.
const HEAD_TOO_LONG: &str = "431";

/// Codes of requests that tenants may not make, which every operation may have where there are tenants.
const OF_TENANTS: [ErrorCode; 3] = [Unauthorized, Forbidden, TooManyRequests];

/// The documentation of an operation as that of a `HEAD`.
fn without_bodies(mut operation: Value) -> Value {
    let responses = operation["responses"].as_object_mut().expect("every operation has responses");
    for response in responses.values_mut() {
        let response = response.as_object_mut().expect("a response is an object");
        response.remove("content");
    }
    operation
}

struct Documentation {
    summary: &'static str,
    addition: bool,
    /// Parameters of the query and headers; those of the path are in its template.
    query: &'static [Parameter],
    body: bool,
    success: Success,
    errors: &'static [ErrorCode],
}

#[derive(Clone, Copy)]
enum Success {
    Json(fn(&mut SchemaGenerator) -> Value),
    Octets,
    Shard,
    Empty,
    Text,
    Page,
    Asset,
    Events,
}

impl Documentation {
    /// Documentation of an operation of the protocol with an empty success.
    const fn of(summary: &'static str) -> Self {
        let success = Success::Empty;
        Self { summary, addition: false, query: &[], body: false, success, errors: &[] }
    }

    /// Documentation of an operation that is known from no other daemon.
    const fn addition(summary: &'static str) -> Self {
        Self { addition: true, ..Self::of(summary) }
    }

    /// Adds the parameters of the query, and headers.
    const fn query(self, query: &'static [Parameter]) -> Self {
        Self { query, ..self }
    }

    /// Adds a body of plain bytes to the request.
    const fn takes_octets(self) -> Self {
        Self { body: true, ..self }
    }

    /// Makes the success a value in JSON.
    const fn json<T: JsonSchema>(self) -> Self {
        self.success(Success::Json(schema::<T>))
    }

    const fn success(self, success: Success) -> Self {
        Self { success, ..self }
    }

    /// Adds the error codes, by rising status.
    const fn errors(self, errors: &'static [ErrorCode]) -> Self {
        Self { errors, ..self }
    }

    fn document(&self, path: &str, schemas: &mut SchemaGenerator) -> Value {
        let mut responses = Map::new();
        responses.insert("200".into(), self.success.document(schemas));
        let mut statuses: Vec<u16> = self.errors.iter().map(|code| code.status()).collect();
        statuses.dedup();
        for status in statuses {
            let codes = self.errors.iter().filter(|code| code.status() == status);
            let codes: Vec<_> = codes
                .map(|code| serde_json::to_string(code).expect("a code is a plain string"))
                .collect();
            let schema = schema::<ErrorBody>(schemas);
            responses.insert(
                status.to_string(),
                json!({
                    "description": format!("`code` is {}", codes.join(" or ")),
                    "content": { JSON: { "schema": schema } },
                }),
            );
        }
        for code in OF_TENANTS {
            let (status, word) = (code.status().to_string(), code.name());
            let description = format!("where tenants are configured: `code` is \"{word}\"");
            let content = json!({ JSON: { "schema": schema::<ErrorBody>(schemas) } });
            responses.insert(status, json!({ "description": description, "content": content }));
        }
        // hyper answers heads that are too long.
        let text = "the head of the request is too long; without a body";
        responses.insert(HEAD_TOO_LONG.into(), json!({ "description": text }));
        let in_path = path.split('/').filter_map(placeholder).map(Parameter::in_path);
        let parameters = in_path.chain(self.query);
        let mut document = json!({
            "summary": self.summary,
            "x-kvlease-addition": self.addition,
            "parameters": parameters.map(Parameter::document).collect::<Vec<_>>(),
            "responses": responses,
        });
        // An object may be empty.
        if self.body {
            document["requestBody"] =
                json!({ "required": false, "content": { OCTETS: { "schema": {} } } });
        }
        document
    }
}

impl Success {
    fn document(self, schemas: &mut SchemaGenerator) -> Value {
        let mut document = self.body(schemas);
        for (name, description) in [
            (SOCKET_HEADER, "path of the Unix socket of the fast lane, where there is one"),
            (EPOCH_HEADER, "the incarnation of the daemon, 16 hexadecimal digits"),
            (REQUEST_ID_HEADER, "id of the request, the client's or a new one"),
            (SEGMENT_HEADER, "device and inode of the segment's file, with a hyphen between"),
        ] {
            document["headers"][name] =
                json!({ "description": description, "schema": { "type": "string" } });
        }
        document
    }

    fn body(self, schemas: &mut SchemaGenerator) -> Value {
        match self {
            Self::Json(schema) => {
                json!({ "description": "done", "content": { JSON: { "schema": schema(schemas) } } })
            }
            Self::Octets => json!({
                "description": "the object's bytes",
                "headers": {
                    CHECKSUM_HEADER: {
                        "description":
                            "XXH3-64 (seed 0) of the object's bytes, 16 hexadecimal digits",
                        "schema": { "type": "string" },
                    },
                },
                "content": { OCTETS: { "schema": {} } },
            }),
            Self::Shard => {
                let mut document = Self::Octets.body(schemas);
                document["headers"][SHARD_META_HEADER] = json!({
                    "description": "what the client sent with the shard, if it did",
                    "schema": { "type": "string" },
                });
                document
            }
            Self::Empty => json!({ "description": "done" }),
            Self::Text => json!({
                "description": "done",
                "content": { "text/plain": { "schema": { "type": "string" } } },
            }),
            Self::Page => json!({
                "description": "a page for browsers",
                "content": { "text/html": { "schema": { "type": "string" } } },
            }),
            Self::Asset => json!({
                "description": "the file: a script, a style sheet or text",
                "content": { "*/*": { "schema": { "type": "string" } } },
            }),
            Self::Events => json!({
                "description": "server-sent events, see docs/events.md",
                "content": { EVENT_STREAM: { "schema": { "type": "string" } } },
            }),
        }
    }
}

fn schema<T: JsonSchema>(schemas: &mut SchemaGenerator) -> Value {
    schemas.subschema_for::<T>().to_value()
}

fn any_json(_: &mut SchemaGenerator) -> Value {
    json!({ "type": "object" })
}

const REPORT: &str = "Reports that an object's bytes did not match its checksum. The daemon looks \
    itself, and removes the object only if it finds it corrupt.";

const SET_POLICY: &str = "Gives a bucket a policy, in place of the one that it has. It is in force at \
    once, also for the objects that are there, until the daemon ends.";

const PUT_ERRORS: [ErrorCode; 7] =
    [Invalid, BodyIncomplete, Exists, LengthRequired, TooLarge, Unavailable, NoSpace];

const PUT_SHARD_ERRORS: [ErrorCode; 5] =
    [Invalid, NotFound, BodyIncomplete, LengthRequired, NoSpace];

/// Documentation of an endpoint beside its method and path.
fn documentation(endpoint: Endpoint) -> Documentation {
    match endpoint {
        Endpoint::Put => {
            Documentation::of("Stores an object. It is immutable; it is visible once it is whole.")
                .query(&[BLOCKS])
                .takes_octets()
                .json::<StoredReply>()
                .errors(&PUT_ERRORS)
        }
        Endpoint::Get => Documentation::of("Streams an object, for clients without shared memory.")
            .success(Success::Octets)
            .errors(&[Invalid, NotFound, Unavailable]),
        Endpoint::Head => Documentation::of("Tells whether an object exists, and its length.")
            .errors(&[Invalid, NotFound]),
        Endpoint::Remove => {
            Documentation::addition("Removes an object. Leases on it stay good until they end.")
                .errors(&[Invalid, NotFound, Exists, Unavailable])
        }
        Endpoint::Acquire | Endpoint::Release | Endpoint::Renew => of_leases(endpoint),
        Endpoint::Locations => Documentation::of("Tells an object's extents without a lease.")
            .json::<LocationsReply>()
            .errors(&[Invalid, NotFound]),
        Endpoint::Tiers => {
            Documentation::addition("Tells every place of an object: memory, and each tier.")
                .json::<TiersReply>()
                .errors(&[Invalid, NotFound, Unavailable])
        }
        Endpoint::Report => {
            Documentation::addition(REPORT).query(&[GENERATION]).errors(&[Invalid, NotFound])
        }
        Endpoint::Events => Documentation::addition(
            "Streams what is published and unpublished, as server-sent events.",
        )
        .query(&[EVENTS_BUCKET, EVENTS_SNAPSHOT, EVENTS_TIMEOUT, LAST_EVENT_ID])
        .success(Success::Events)
        .errors(&[Invalid, Unavailable]),
        Endpoint::List => Documentation::addition("Lists a bucket, page by page.")
            .query(&[PREFIX, CURSOR, LIMIT, TIER])
            .json::<ListReply>()
            .errors(&[Invalid, Unavailable]),
        Endpoint::Namespace
        | Endpoint::CreateNamespace
        | Endpoint::RemoveNamespace
        | Endpoint::GetShard
        | Endpoint::PutShard
        | Endpoint::RemoveShard
        | Endpoint::LatestSteps
        | Endpoint::ResetCheckpoints => of_checkpoints(endpoint),
        Endpoint::Buckets
        | Endpoint::Policy
        | Endpoint::SetPolicy
        | Endpoint::RemovePolicy
        | Endpoint::Stats
        | Endpoint::History
        | Endpoint::StatusPage
        | Endpoint::Asset
        | Endpoint::Health
        | Endpoint::Ready
        | Endpoint::Metrics
        | Endpoint::OpenApi => of_operators(endpoint),
    }
}

/// Documentation of an endpoint of leases.
fn of_leases(endpoint: Endpoint) -> Documentation {
    match endpoint {
        Endpoint::Acquire => {
            Documentation::of("Grants a lease. Answers at once unless the object is being written.")
                .query(&[TIMEOUT, TTL])
                .json::<LeaseReply>()
                .errors(&[Invalid, NotFound, Unavailable, StillWriting])
        }
        Endpoint::Release => Documentation::of(
            "Ends a lease. Idempotent: an unknown or ended lease is a success too.",
        )
        .errors(&[Invalid]),
        Endpoint::Renew => {
            Documentation::addition("Extends a live lease. An expired one is not revived.")
                .query(&[TTL])
                .json::<RenewReply>()
                .errors(&[Invalid, NotFound])
        }
        other => unreachable!("{other:?} is no endpoint of leases"),
    }
}

/// Documentation of an endpoint of operators and supervisors.
fn of_operators(endpoint: Endpoint) -> Documentation {
    use Success::{Asset, Json, Page, Text};
    match endpoint {
        Endpoint::Buckets => {
            Documentation::addition("The buckets that have a policy, and what they have and had.")
                .json::<BucketsReply>()
                .errors(&[Unavailable])
        }
        Endpoint::Policy => Documentation::addition("The policy of a bucket.")
            .json::<PolicyReply>()
            .errors(&[Invalid, NotFound]),
        Endpoint::SetPolicy => Documentation::addition(SET_POLICY)
            .query(&[PRIORITY, WEIGHT, TTL_OF_OBJECTS, PINNED])
            .json::<PolicyReply>()
            .errors(&[Invalid, Unavailable]),
        Endpoint::RemovePolicy => {
            Documentation::addition("Takes the policy of a bucket away. Its objects stay.")
                .errors(&[Invalid, NotFound])
        }
        Endpoint::Stats => {
            Documentation::addition("The state of the daemon in numbers, its buckets page by page.")
                .query(&[BUCKETS_AFTER, BUCKETS_LIMIT])
                .json::<StatsReply>()
                .errors(&[Invalid, Unavailable])
        }
        Endpoint::History => {
            Documentation::addition("How the state in numbers changed in the last hour or day.")
                .query(&[SPAN, SINCE])
                .json::<HistoryReply>()
                .errors(&[Invalid, Unavailable])
        }
        Endpoint::StatusPage => Documentation::addition(
            "The state of the daemon for people, unless `server.status_page_path` has another path.",
        )
        .query(&[SPAN, BUCKETS_FROM])
        .success(Page)
        .errors(&[Invalid, Unavailable]),
        Endpoint::Asset => Documentation::addition("A file that the status page uses.")
            .success(Asset)
            .errors(&[Invalid, NotFound]),
        Endpoint::Health => {
            Documentation::addition("200 while the process serves, also while it drains.")
                .success(Text)
        }
        Endpoint::Ready => Documentation::addition(
            "200 while it takes work; 503 while it drains or its segment is not attachable.",
        )
        .success(Text)
        .errors(&[Unavailable]),
        Endpoint::Metrics => Documentation::addition("Metrics in the Prometheus text format.")
            .success(Text)
            .errors(&[Unavailable]),
        Endpoint::OpenApi => Documentation::addition("This document.").success(Json(any_json)),
        other => unreachable!("{other:?} is no endpoint of operators"),
    }
}

/// Documentation of an endpoint of checkpoints.
fn of_checkpoints(endpoint: Endpoint) -> Documentation {
    match endpoint {
        Endpoint::Namespace => Documentation::of("Describes a namespace of checkpoints.")
            .json::<NamespaceReply>()
            .errors(&[Invalid, NotFound]),
        Endpoint::CreateNamespace => Documentation::of(
            "Makes a namespace of checkpoints. One of this shape may be there already.",
        )
        .query(&[NUM_RANKS, STEPS_RETAINED])
        .errors(&[Invalid, Exists, NoSpace]),
        Endpoint::RemoveNamespace => {
            Documentation::of("Removes a namespace of checkpoints with all of its shards.")
                .errors(&[Invalid, NotFound])
        }
        Endpoint::GetShard => Documentation::of("Streams a shard.")
            .success(Success::Shard)
            .errors(&[Invalid, NotFound, Unavailable]),
        Endpoint::PutShard => {
            Documentation::of("Stores a shard, in place of the one that is there.")
                .query(&[SHARD_META])
                .takes_octets()
                .json::<StoredReply>()
                .errors(&PUT_SHARD_ERRORS)
        }
        Endpoint::RemoveShard => Documentation::of("Removes a shard.").errors(&[Invalid, NotFound]),
        Endpoint::LatestSteps => Documentation::of(
            "The newest steps of a namespace that have all of their shards, newest first.",
        )
        .query(&[LATEST_LIMIT])
        .json::<Vec<u64>>()
        .errors(&[Invalid, NotFound]),
        Endpoint::ResetCheckpoints => {
            Documentation::of("Removes all namespaces of checkpoints of this daemon.")
        }
        other => unreachable!("{other:?} is no endpoint of checkpoints"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EventsQuery, ListQuery, StatsQuery};

    #[test]
    fn the_checked_in_document_is_current() {
        let checked_in = include_str!("../openapi.json");
        assert!(checked_in == openapi_document(), "run `cargo xtask openapi` and commit the file");
    }

    #[test]
    fn every_endpoint_lists_its_errors_by_rising_status() {
        for endpoint in Endpoint::ALL {
            let errors = documentation(*endpoint).errors;
            assert!(errors.is_sorted_by_key(|code| code.status()), "{endpoint:?}");
        }
    }

    #[test]
    fn parameters_are_taken_as_long_as_they_are_documented() {
        type Parse = fn(&str) -> bool;
        let listing: Parse = |raw| ListQuery::parse(Some(raw)).is_ok();
        let stats: Parse = |raw| StatsQuery::parse(Some(raw)).is_ok();
        let events: Parse = |raw| EventsQuery::parse(Some(raw)).is_ok();
        let mut tried = Vec::new();
        let parsers =
            [(Endpoint::Events, events), (Endpoint::List, listing), (Endpoint::Stats, stats)];
        for (endpoint, parse) in parsers {
            for parameter in documentation(endpoint).query.iter().filter(|p| p.is_in_query()) {
                let schema: Value = serde_json::from_str(parameter.schema).unwrap();
                let Some(len_max) = schema["maxLength"].as_u64() else { continue };
                // Zeros are a number as well, however many.
                let query = |len| format!("{}={:0len$}", parameter.name, 0);
                let len_max = usize::try_from(len_max).unwrap();
                assert!(parse(&query(len_max)), "{}", parameter.name);
                assert!(!parse(&query(len_max + 1)), "{}", parameter.name);
                tried.push(parameter.name);
            }
        }
        assert_eq!(tried, ["bucket", "prefix", "cursor", "buckets_after"]);
    }
}
