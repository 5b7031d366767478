//! Errors of calls: a few kinds, each of which a caller would act on differently.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use kvlease_api::ErrorCode;
use kvlease_attach::OutOfBounds;
use kvlease_sys::Identity;
use kvlease_types::{ByteSize, Checksum, Key, NameError};
use kvlease_types::{SegmentName, SegmentNameError};

use crate::{Address, AddressError, RequestId, request_id::named};

/// Error of a call to the daemon.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The url is malformed: fix it.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A key or a bucket is malformed: fix it.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The name of the segment is malformed: fix it.
    #[error(transparent)]
    SegmentName(#[from] SegmentNameError),
    /// No connection could be made: start the daemon or fix the url.
    #[error("no daemon answers: start one with `kvlease serve`, or fix the url, url=`{address}`")]
    Unreachable {
        /// The address that was called.
        address: Address,
        /// Error of the system.
        source: io::Error,
    },
    /// No encrypted connection could be made with what listens there.
    #[error("no secure connection: {what}, url=`{address}`")]
    Tls {
        /// The address that was called.
        address: Address,
        /// The fault, and its remedy.
        what: &'static str,
        /// Error of the TLS layer.
        source: io::Error,
    },
    /// The certificates of trusted signers cannot be read.
    #[error(
        "the trusted certificates cannot be read: check that the file is there and has some in PEM, \
         reason=`{source}` tls_ca_file=`{}`",
        path.display()
    )]
    TlsCaFile {
        /// The file.
        path: PathBuf,
        /// The fault.
        source: io::Error,
    },
    /// The client's own certificate cannot be used.
    #[error(
        "the client's certificate cannot be used: {what}, reason=`{source}` \
         tls_certificate_file=`{}` tls_key_file=`{}`",
        shown(certificate.as_deref()), shown(key.as_deref())
    )]
    TlsIdentity {
        /// The file of the certificate, if one is configured.
        certificate: Option<PathBuf>,
        /// The file of its key, if one is configured.
        key: Option<PathBuf>,
        /// The remedy.
        what: &'static str,
        /// The fault.
        source: io::Error,
    },
    /// The token cannot be read.
    #[error(
        "the token cannot be read: write it as the only line of a file that this user may read, \
         reason=`{source}` token_file=`{}`",
        path.display()
    )]
    TokenFile {
        /// The file.
        path: PathBuf,
        /// The fault, without the contents of the file.
        source: io::Error,
    },
    /// The daemon was not asked, since it has not been reachable for several calls in a row.
    #[error(
        "the daemon has not been reachable and is left alone for a while: check that it runs, \
         failures=`{failures}` retry_in=`{retry_in:?}` url=`{address}`"
    )]
    CircuitOpen {
        /// The address that was not called.
        address: Address,
        /// How many calls failed in a row.
        failures: u32,
        /// After how long a call is tried again. Zero while one is being tried.
        retry_in: Duration,
    },
    /// The connection broke in the middle of a call, which may or may not have had its effect.
    #[error(
        "the connection broke: try again, operation=`{operation}` url=`{address}`{}",
        named(request_id)
    )]
    Broken {
        /// The operation that was called.
        operation: &'static str,
        /// The address that was called.
        address: Address,
        /// Id of the request, which the daemon's log has too; `None` for one that was none over HTTP.
        request_id: Option<RequestId>,
        /// Error of the system.
        source: io::Error,
    },
    /// The call did not end in time, and may or may not have had its effect.
    #[error(
        "the daemon did not answer in time: try again later, \
         operation=`{operation}` limit=`{limit:?}` url=`{address}`{}",
        named(request_id)
    )]
    TimedOut {
        /// The operation that was called.
        operation: &'static str,
        /// Id of the request, which the daemon's log has too; `None` for one that was none over HTTP.
        request_id: Option<RequestId>,
        /// How long it was waited for.
        limit: Duration,
        /// The address that was called.
        address: Address,
    },
    /// The call waited for a connection of the pool until its time was over: the daemon was not asked.
    #[error(
        "the call got no connection of the pool in time: make fewer calls at a time, or raise \
         `requests_max` and `connections_max`, operation=`{operation}` limit=`{limit:?}` at_a_time=`{at_a_time}`"
    )]
    PoolTimeout {
        /// The operation that was called.
        operation: &'static str,
        /// How long it waited.
        limit: Duration,
        /// How many calls may be under way at a time.
        at_a_time: usize,
    },
    /// The daemon refused.
    #[error(
        "the daemon refused: {message}, operation=`{operation}` status=`{status}`{}",
        named(request_id)
    )]
    Refused {
        /// The operation that was called.
        operation: &'static str,
        /// The HTTP status.
        status: u16,
        /// The daemon's code, if it is one that says so.
        code: Option<ErrorCode>,
        /// The daemon's own words.
        message: String,
        /// Id of the request, which the daemon's log has too; `None` for one that was none over HTTP.
        request_id: Option<RequestId>,
    },
    /// The daemon does not know the client, or the client may not do that: it needs another token,
    /// another certificate or a right.
    #[error(
        "the daemon denies the call: {remedy}; it says: {message}, operation=`{operation}` \
         status=`{status}`{}",
        named(request_id)
    )]
    Denied {
        /// The operation that was called.
        operation: &'static str,
        /// The HTTP status: 401 for a client that is not known, 403 for one without the right.
        status: u16,
        /// The remedy.
        remedy: &'static str,
        /// The daemon's own words.
        message: String,
        /// Id of the request, which the daemon's log has too; `None` for one that was none over HTTP.
        request_id: Option<RequestId>,
    },
    /// The reply is not what the protocol says: this is no daemon of this protocol, or a broken one.
    #[error(
        "the reply is not of this protocol: check what listens there, {what}, \
         operation=`{operation}` url=`{address}`"
    )]
    Protocol {
        /// The operation that was called.
        operation: &'static str,
        /// The fault in the reply.
        what: String,
        /// The address that was called.
        address: Address,
    },
    /// The segment cannot be mapped: fix its name or permissions, or read over HTTP.
    #[error(
        "the shared memory cannot be attached: check its name and permissions, or read over \
         http, shared_memory_name=`{name}`"
    )]
    Attach {
        /// The segment's name.
        name: SegmentName,
        /// Error of the system.
        source: io::Error,
    },
    /// The segment of the configured name is not that of the daemon: fix the name, or read over HTTP.
    #[error(
        "the shared memory is not that of the daemon at the url: set shared_memory_name to the \
         daemon's, or read over http, shared_memory_name=`{name}` segment=`{found}` \
         announced=`{announced}`"
    )]
    OtherSegment {
        /// The segment's name.
        name: SegmentName,
        /// The file that has the name.
        found: Identity,
        /// The file of the daemon's segment.
        announced: Identity,
    },
    /// The client was given no segment name.
    #[error("no shared memory is configured: set `shared_memory_name`, or read over http")]
    NoSharedMemory,
    /// A lease names bytes outside of the segment: it is another daemon's segment.
    #[error(
        "the lease lies outside of the shared memory: check that the segment is this daemon's, \
         key=`{key}`"
    )]
    OutsideSegment {
        /// The object.
        key: Key,
        /// Which bytes.
        source: OutOfBounds,
    },
    /// The lengths of object and buffer differ, or the object ends before the buffer is full: nothing
    /// was read.
    #[error(
        "the buffer length does not match the object length: pass a buffer of the object's length, \
         key=`{key}` object=`{object}` buffer=`{buffer}`"
    )]
    LengthMismatch {
        /// The object.
        key: Key,
        /// Its length.
        object: ByteSize,
        /// The buffer's length.
        buffer: ByteSize,
    },
    /// The lease ended before the bytes were copied: nothing was read. Treat it as a miss, or ask
    /// for a longer time to live.
    #[error("the lease ended before the copy did: read again with a longer lease, key=`{key}`")]
    LeaseEnded {
        /// The object.
        key: Key,
    },
    /// The object is still pending, or the arena has no room to load it while others are leased. Of
    /// the calls of a connector, only one that opens objects of a batch to be read says so.
    #[error(
        "the object is still being written, or the arena has no room to load it: read what is \
         leased, and ask again, key=`{key}`"
    )]
    StillWriting {
        /// The object.
        key: Key,
    },
    /// The bytes are not those that were stored.
    #[error(
        "the object's bytes are corrupt: remove it and store it again, \
         key=`{key}` expected=`{expected}` actual=`{actual}`"
    )]
    Corrupt {
        /// The object.
        key: Key,
        /// The checksum that the daemon has.
        expected: Checksum,
        /// The checksum of what was read.
        actual: Checksum,
    },
    /// The source of a put failed or is not as long as was said: nothing was stored.
    #[error("the bytes to store cannot be read: check their source, key=`{key}`")]
    Source {
        /// The object.
        key: Key,
        /// Error of the source.
        source: io::Error,
    },
    /// The connector was closed.
    #[error("the connector is closed: make a new one")]
    Closed,
    /// The process was forked after the connector was made: its connections are the parent's.
    #[error("the process was forked after the connector was made: make a new one in the child")]
    Forked,
    /// A blocking call was made on a thread of a runtime, which must not be blocked.
    #[error("a blocking call inside of an async runtime: use the asynchronous connector there")]
    InsideRuntime,
    /// The threads for the network cannot be had.
    #[error("no runtime can be started: check the limits on threads and files")]
    Runtime {
        /// Error of the system.
        source: io::Error,
    },
}

impl Error {
    /// Whether a daemon refused since it does not know the call: it is another one than ours.
    pub fn is_unknown_call(&self) -> bool {
        matches!(self, Self::Refused { status: 404 | 405 | 501, code: None, .. })
    }
}

fn shown(path: Option<&Path>) -> String {
    path.map_or_else(|| "none".to_owned(), |path| path.display().to_string())
}

/// The answer for a key that is not asked for again: what has not come within the wait is a miss.
///
/// # Errors
///
/// Those of the answer but [`Error::StillWriting`].
pub fn or_absent<T>(answer: Result<Option<T>, Error>) -> Result<Option<T>, Error> {
    match answer {
        Err(Error::StillWriting { .. }) => Ok(None),
        answer => answer,
    }
}
