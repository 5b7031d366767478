//! Ids of requests, by which the daemon's log has them too.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use kvlease_api::REQUEST_ID_HEADER;
use kvlease_types::Hex;

/// Id of a request: 16 hexadecimal digits, which the client draws and sends with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RequestId(u64);

/// The next id. It begins anywhere, so that ids of two processes hardly meet.
static NEXT: LazyLock<AtomicU64> =
    LazyLock::new(|| AtomicU64::new(RandomState::new().hash_one(std::process::id())));

impl RequestId {
    /// The one id of calls whose outcomes are compared.
    #[cfg(fuzzing)]
    pub(crate) const SAME: Self = Self(0);

    /// An id that this process has not used.
    pub(crate) fn draw() -> Self {
        // Ids in a row would share most digits, and look the same: a step without a pattern.
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        Self(NEXT.fetch_add(STEP, Relaxed))
    }

    /// Adds the id to the head of a request.
    pub(crate) fn add_to(self, head: &mut String) {
        // The empty line ends the head.
        head.truncate(head.len() - 2);
        for part in [REQUEST_ID_HEADER, ": ", self.hex().as_str(), "\r\n\r\n"] {
            head.push_str(part);
        }
    }

    /// The digits.
    fn hex(self) -> Hex {
        Hex::new(self.0)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.hex().as_str())
    }
}

/// The end of an error's text that has the id of its request, if it had one of its own.
pub(crate) fn named(id: &Option<RequestId>) -> String {
    id.map_or_else(String::new, |id| format!(" request_id=`{id}`"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_different_and_what_the_daemon_takes() {
        let names: HashSet<_> = (0..1000).map(|_| RequestId::draw().to_string()).collect();
        assert_eq!(names.len(), 1000);
        let mut head = "GET / HTTP/1.1\r\nhost: h\r\n\r\n".to_owned();
        RequestId(7).add_to(&mut head);
        let expected = "GET / HTTP/1.1\r\nhost: h\r\nx-request-id: 0000000000000007\r\n\r\n";
        assert_eq!(head, expected);
        assert!(names.iter().all(|name| kvlease_api::is_request_id(name.as_bytes())));
    }
}
