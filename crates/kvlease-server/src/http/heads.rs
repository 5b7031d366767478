//! Heads that hyper answers by itself, and not as this daemon would.

use std::sync::{
    LazyLock,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use memchr::memmem::Finder;

/// First bytes of a connection of HTTP/2, for which hyper has no answer.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n";

/// Answer to them.
const REFUSED_PREFACE: &[u8] = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\
    content-length: 0\r\n\r\n";

/// First digits of the two lengths that hyper takes for its own marks: 2^64-2 and 2^64-1.
const MARKS: &[u8] = b"1844674407370955161";

/// Search for them. It takes longer to make than to run over a head.
static FIND_MARKS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(MARKS));

/// First bytes of hyper's answer to them, which is also that to a head that is too long.
const HEAD_TOO_LONG: &[u8] = b"HTTP/1.1 431 ";

/// Answer to a body of such a length.
const BODY_TOO_LONG: &[u8] = b"HTTP/1.1 413 Payload Too Large\r\nconnection: close\r\n\
    content-length: 0\r\n\r\n";

/// Bytes of heads as they come and go.
#[derive(Default, Debug)]
pub(super) struct Heads {
    /// Whether something has come.
    begun: AtomicBool,
    /// Whether the latest bytes may have a length that hyper does not take.
    absurd: AtomicBool,
}

impl Heads {
    /// Looks at bytes that came in. Returns the answer to what is no HTTP/1.
    pub(super) fn look_at(&self, bytes: &[u8]) -> Option<&'static [u8]> {
        self.absurd.store(FIND_MARKS.find(bytes).is_some(), Relaxed);
        let is_first = !self.begun.swap(true, Relaxed);
        (is_first && bytes.starts_with(PREFACE)).then_some(REFUSED_PREFACE)
    }

    /// The answer in the place of hyper's own.
    pub(super) fn replaces(&self, reply: &[u8]) -> Option<&'static [u8]> {
        let replaces = self.absurd.load(Relaxed) && reply.starts_with(HEAD_TOO_LONG);
        replaces.then_some(BODY_TOO_LONG)
    }
}
