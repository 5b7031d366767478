//! Recorded workload: the times of requests, and the blocks of their prompts.

use std::{collections::HashSet, env, fs, time::Duration};

use kvlease_testing::trace;

/// Variable that names another file of the same format.
const OTHER: &str = "KVLEASE_TRACE";

/// Requests in the order of their times.
pub(super) struct Trace {
    pub(super) requests: Vec<Request>,
    /// Number of different blocks.
    pub(super) blocks: usize,
    /// Whether it is the one of this repository.
    pub(super) is_bundled: bool,
}

/// Request of a client.
pub(super) struct Request {
    /// Time since the first one.
    pub(super) at: Duration,
    /// Names of the blocks of its prompt, in their order.
    pub(super) keys: Vec<String>,
}

impl Trace {
    /// The trace that the environment names, or the bundled one.
    pub(super) fn open() -> Self {
        match env::var(OTHER) {
            Ok(path) => Self::parse(&fs::read_to_string(path).unwrap(), false),
            Err(_) => Self::parse(trace::MOONCAKE_CONVERSATION, true),
        }
    }

    fn parse(text: &str, is_bundled: bool) -> Self {
        let requests: Vec<Request> = trace::requests(text).map(Request::new).collect();
        let blocks: HashSet<&String> = requests.iter().flat_map(|request| &request.keys).collect();
        let blocks = blocks.len();
        Self { requests, blocks, is_bundled }
    }
}

impl Request {
    fn new((at, blocks): (Duration, Vec<u64>)) -> Self {
        let keys = blocks.iter().map(|block| format!("org/model@1@0@{block:x}")).collect();
        Self { at, keys }
    }
}
