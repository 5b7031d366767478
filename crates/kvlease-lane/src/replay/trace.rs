//! Recorded workload: the times of requests, and the blocks of their prompts.

use std::{collections::HashSet, env, fs, ops::RangeInclusive, time::Duration};

/// Part of a public trace, see the `README.md` beside it.
const BUNDLED: &str = include_str!("../../../../testing/traces/mooncake-conversation.txt");

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
            Err(_) => Self::parse(BUNDLED, true),
        }
    }

    fn parse(text: &str, is_bundled: bool) -> Self {
        let requests: Vec<Request> = text.lines().map(Request::parse).collect();
        let blocks: HashSet<&String> = requests.iter().flat_map(|request| &request.keys).collect();
        let blocks = blocks.len();
        Self { requests, blocks, is_bundled }
    }
}

impl Request {
    fn parse(line: &str) -> Self {
        let (at, runs) = line.split_once(' ').unwrap();
        let blocks = runs.split(' ').flat_map(|run| -> RangeInclusive<u64> {
            let (first, last) = run.split_once('-').unwrap();
            first.parse().unwrap()..=last.parse().unwrap()
        });
        let keys = blocks.map(|block| format!("org/model@1@0@{block:x}")).collect();
        Self { at: Duration::from_millis(at.parse().unwrap()), keys }
    }
}
