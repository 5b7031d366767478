//! Settings of a connector.

use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

use kvlease_http::ClientConfig;
use kvlease_types::ByteSize;

/// Whether the daemon's fast lane is taken, and where it is.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub enum SocketChoice {
    /// It is taken where the daemon says that it is, if it says so and this client gets there.
    #[default]
    Announced,
    /// It is taken at this path, if this client gets there.
    At(PathBuf),
    /// All goes over HTTP.
    Never,
}

/// The settings of a [`Connector`](crate::Connector). They are data: nothing is read from the
/// environment. The adapter makes them from LMCache's configuration.
#[derive(Clone, Debug)]
pub struct ConnectorConfig {
    /// Daemon, bucket, segment and transport.
    pub client: ClientConfig,
    /// How long the daemon may hold a lease request for an object that is being written.
    pub lease_wait: Duration,
    /// The time to live that leases ask for.
    pub lease_ttl: Duration,
    /// The largest object that a lease is accepted for; a larger one is a miss. `None`: any.
    pub lease_len_max: Option<ByteSize>,
    /// How long a lease that [`prefetch_leases`](crate::Connector::prefetch_leases) took is kept for the read that
    /// follows. Never longer than the lease lives.
    pub lease_retention: Duration,
    /// How many threads copy at a time.
    pub copy_threads: NonZeroUsize,
    /// Whether the daemon's fast lane is taken.
    pub socket: SocketChoice,
    /// How long opening the fast lane may take, within a quarter of the time limit of a call: the call that opens it
    /// takes so much longer, and goes over HTTP behind that.
    pub lane_open_max: Duration,
    /// Whether objects are looked for in the index that the daemon publishes to clients of its fast
    /// lane, before it is asked.
    pub index: bool,
    /// Whether a look-up counts an object only where those of all ranks of the engine are there, as far as
    /// the key tells them: [`keys_of_ranks`](kvlease_types::keys_of_ranks).
    pub groups: bool,
}

impl ConnectorConfig {
    /// The defaults of LMCache's connector on top of these settings of a client.
    pub fn new(client: ClientConfig) -> Self {
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self {
            client,
            lease_wait: Duration::from_secs(1),
            lease_ttl: Duration::from_secs(30),
            lease_len_max: None,
            lease_retention: Duration::from_secs(5),
            socket: SocketChoice::default(),
            lane_open_max: Duration::from_millis(500),
            index: true,
            groups: false,
            copy_threads: cores.min(const { NonZeroUsize::new(4).expect("4 is not 0") }),
        }
    }
}
