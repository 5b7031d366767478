//! Settings of a client.

use std::{path::PathBuf, time::Duration};

use kvlease_attach::TrustedUsers;
use kvlease_types::BucketName;
use kvlease_types::{DEFAULT_SEGMENT_DIR, SegmentName};

use crate::{Address, TokenSource};

/// The default bucket.
pub const DEFAULT_BUCKET: &str = "lmcache";

/// The default limit on the connections of a client: that of the stock clients.
pub const DEFAULT_CONNECTIONS_MAX: usize = 128;

/// The default limit on the calls of a client that are under way: that of the stock clients.
pub const DEFAULT_REQUESTS_MAX: usize = 100;

/// The default length of a piece of a body, in bytes: that of the stock clients.
pub const DEFAULT_PUT_PIECE_LEN: usize = 64 << 10;

/// The least time by which a lease's call outlasts the wait that the daemon is asked to keep to: its
/// answer has to arrive while the call waits for it.
pub const ANSWER_MARGIN_MIN: Duration = Duration::from_millis(50);

/// The settings of a [`Client`](crate::Client). They are data: nothing is read from the environment.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Address of the daemon.
    pub address: Address,
    /// The bucket that all keys belong to.
    pub bucket: BucketName,
    /// Name of the daemon's segment, or `None` to read over HTTP.
    pub shared_memory_name: Option<SegmentName>,
    /// The directory that the segment is in.
    pub shared_memory_dir: PathBuf,
    /// Users that may be the daemon's, in shared memory and on the fast lane.
    pub trusted: TrustedUsers,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// The most connections at a time; a call beyond them waits for one. At least 1: 0 means 1.
    pub connections_max: usize,
    /// The most calls under way at a time; one beyond them waits. At least 1: 0 means 1.
    ///
    /// Of these, and of the connections, calls that carry an object have at most three quarters, so
    /// that leases never wait behind transfers.
    pub requests_max: usize,
    /// How many bytes are a piece of a body. A source is read, held in memory and sent one piece at
    /// a time; what is in memory anyway is written up to 16 pieces at a time, which makes the usual
    /// length as fast as larger ones. At least 1: 0 means 1.
    pub put_piece_len: usize,
    /// A file with the certificates, in PEM, of trusted signers beside the system's. For `https` only.
    pub tls_ca_file: Option<PathBuf>,
    /// A file with the certificate of the client, in PEM, for a daemon that asks for one, and the file of
    /// its private key: both or none. For `https` only. They are read again when they change.
    pub tls_certificate_file: Option<PathBuf>,
    /// See [`Self::tls_certificate_file`].
    pub tls_key_file: Option<PathBuf>,
    /// The token that is sent with each request, as `Authorization: Bearer`.
    pub token: Option<TokenSource>,
}

impl ClientConfig {
    /// The defaults for a daemon at `address`: bucket [`DEFAULT_BUCKET`], no shared memory.
    pub fn new(address: Address) -> Self {
        Self {
            address,
            bucket: BucketName::new(DEFAULT_BUCKET).expect("the default bucket is a valid name"),
            shared_memory_name: None,
            shared_memory_dir: PathBuf::from(DEFAULT_SEGMENT_DIR),
            trusted: TrustedUsers::default(),
            timeouts: Timeouts::default(),
            connections_max: DEFAULT_CONNECTIONS_MAX,
            requests_max: DEFAULT_REQUESTS_MAX,
            put_piece_len: DEFAULT_PUT_PIECE_LEN,
            tls_ca_file: None,
            tls_certificate_file: None,
            tls_key_file: None,
            token: None,
        }
    }

    /// A warning that others in the network can read the token; `None` if they cannot, or if there is none.
    pub fn token_risk(&self) -> Option<String> {
        let address = &self.address;
        let is_exposed = self.token.is_some() && !address.is_https() && !address.is_loopback();
        is_exposed.then(|| {
            format!(
                "the token crosses the network in the clear, where others can read it: use an \
                 `https://` url, url=`{address}`"
            )
        })
    }
}

/// How long calls may take, counted from the call: waiting for their turn and for a connection is
/// included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timeouts {
    /// For a connection to be made, encryption included.
    pub connect: Duration,
    /// For a call that carries no object: a lease, a release, a listing. The wait of a lease for a
    /// write is part of it; only a longer wait than this has room for makes the call longer, to
    /// the wait and 50 ms.
    pub call: Duration,
    /// For a call that carries an object, from its first to its last byte.
    pub transfer: Duration,
    /// For a call that carries an object to go on without a byte from the daemon or to it. Time in
    /// which the source of a body is waited for does not count.
    pub stall: Duration,
}

impl Timeouts {
    /// For a lease that the daemon may hold for `wait`.
    pub fn lease(self, wait: Duration) -> Duration {
        self.call.max(wait.saturating_add(ANSWER_MARGIN_MIN))
    }
}

impl Default for Timeouts {
    /// 2 s to connect, 5 s for a call, 300 s for a transfer, of which 10 s without a byte.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            call: Duration::from_secs(5),
            transfer: Duration::from_secs(300),
            stall: Duration::from_secs(10),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_at_risk_in_the_clear_beyond_this_machine() {
        let risk = |url: &str, token: Option<&str>| {
            let mut config = ClientConfig::new(url.parse().unwrap());
            config.token = token.map(|token| TokenSource::Given(token.parse().unwrap()));
            config.token_risk()
        };
        let told = risk("http://node-7:9200", Some("s3cret")).unwrap();
        assert!(told.contains("url=`http://node-7:9200`") && !told.contains("s3cret"), "{told}");
        assert!(risk("http://10.0.0.1", Some("t")).is_some());
        for url in ["https://node-7", "http://127.8.0.1", "http://[::1]", "http://localhost"] {
            assert_eq!(risk(url, Some("t")), None, "{url}");
        }
        assert_eq!(risk("http://node-7", None), None);
    }

    #[test]
    fn the_wait_of_a_lease_is_part_of_its_call_unless_it_is_longer() {
        let lease = |call_ms, wait_ms| {
            let timeouts = Timeouts { call: Duration::from_millis(call_ms), ..Timeouts::default() };
            timeouts.lease(Duration::from_millis(wait_ms)).as_millis()
        };
        assert_eq!([lease(5000, 0), lease(5000, 4500), lease(5000, 4950)], [5000; 3]);
        assert_eq!([lease(100, 50), lease(100, 51), lease(100, 1000)], [100, 101, 1050]);
        assert_eq!(Timeouts::default().lease(Duration::MAX), Duration::MAX);
    }
}
