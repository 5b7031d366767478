//! Headers that every answer has, made once.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header::CONTENT_TYPE};
use kvlease_api::{EPOCH_HEADER, JSON, OCTETS, REQUEST_ID_HEADER, SEGMENT_HEADER, SOCKET_HEADER};
use kvlease_engine::Engine;
use kvlease_types::Epoch;

/// Content types of nearly all answers.
const USUAL: [&str; 2] = [JSON, OCTETS];

/// Headers that tell clients which incarnation answers, which file is its segment, and where its fast
/// lane is.
pub(crate) struct Announcement {
    /// While clients can connect to the fast lane's socket, and while they cannot.
    with_socket: Sets,
    without_socket: Sets,
    /// False while the fast lane's path is not its socket's.
    socket_is_there: AtomicBool,
}

/// Headers of answers: a copy of a set costs a fraction of the insertions that made it.
struct Sets {
    /// Without a content type.
    plain: HeaderMap,
    /// With each of [`USUAL`].
    typed: [HeaderMap; USUAL.len()],
}

impl Announcement {
    /// A path that no header can carry is left out.
    pub(crate) fn new(engine: &Engine, epoch: Epoch, socket: Option<&Path>) -> Self {
        let identity = [
            header(EPOCH_HEADER, epoch.to_string().into_bytes()),
            header(SEGMENT_HEADER, engine.arena_identity().to_string().into_bytes()),
            // A place for the id of each request: to replace a value costs less than to insert one.
            header(REQUEST_ID_HEADER, b"-".to_vec()),
        ];
        let without: HeaderMap = identity.into_iter().flatten().collect();
        let mut with = without.clone();
        let path = socket.map(|path| path.as_os_str().as_encoded_bytes().to_vec());
        with.extend(path.and_then(|path| header(SOCKET_HEADER, path)));
        Self {
            with_socket: Sets::new(with),
            without_socket: Sets::new(without),
            socket_is_there: AtomicBool::new(true),
        }
    }

    /// Headers of an answer: the socket's only while clients can connect there.
    pub(crate) fn headers(&self, content_type: Option<&'static str>) -> HeaderMap {
        match self.socket_is_there.load(Relaxed) {
            true => self.with_socket.copy(content_type),
            false => self.without_socket.copy(content_type),
        }
    }

    /// Remembers whether clients can connect to the fast lane's socket.
    pub(crate) fn set_socket_is_there(&self, is_there: bool) {
        self.socket_is_there.store(is_there, Relaxed);
    }
}

impl Sets {
    fn new(plain: HeaderMap) -> Self {
        let typed = USUAL.map(|content_type| with_type(plain.clone(), content_type));
        Self { plain, typed }
    }

    fn copy(&self, content_type: Option<&'static str>) -> HeaderMap {
        let Some(content_type) = content_type else { return self.plain.clone() };
        let usual = USUAL.iter().position(|usual| *usual == content_type);
        usual.map_or_else(
            || with_type(self.plain.clone(), content_type),
            |usual| self.typed[usual].clone(),
        )
    }
}

fn with_type(mut headers: HeaderMap, content_type: &'static str) -> HeaderMap {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers
}

fn header(name: &'static str, value: Vec<u8>) -> Option<(HeaderName, HeaderValue)> {
    // Every answer has a copy, which is free if the bytes live as long as the process.
    let value = Bytes::from_static(value.leak());
    Some((HeaderName::from_static(name), HeaderValue::from_maybe_shared(value).ok()?))
}
