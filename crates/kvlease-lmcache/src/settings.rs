//! Settings of a configuration, in its own units, and the connector's settings made of them.

use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

use kvlease_connector::{ConnectorConfig, SocketChoice};
use kvlease_http::{Address, ClientConfig, Timeouts, TokenSource};
use kvlease_types::SegmentName;
use kvlease_types::{BucketName, ByteSize};

/// More than this at a time is as good as no limit; it keeps counts within what counts them.
const AT_A_TIME_MAX: u64 = u32::MAX as u64;

/// The longest that making a connection may take, whatever the time-out.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// Settings of one configuration: every value is checked and has the unit that its key has.
///
/// [`connector_config`](Self::connector_config) turns it into the connector's settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Address of the daemon.
    pub address: Address,
    /// The bucket that all keys belong to.
    pub bucket: BucketName,
    /// Name of the daemon's segment, or `None` to read over HTTP.
    pub shared_memory_name: Option<SegmentName>,
    /// The directory that the segment is in, or `None` for the usual one.
    pub shared_memory_dir: Option<PathBuf>,
    /// Whether the daemon's fast lane is taken, and where it is.
    pub socket: SocketChoice,
    /// How long opening the fast lane may take, in milliseconds, within the other limits of a call. `None`: as long
    /// as the connector usually waits.
    pub lane_open_max_ms: Option<u64>,
    /// Whether the daemon's published index is read before the daemon is asked.
    pub index: bool,
    /// The user that runs the daemon, or `None` for this process's own or root.
    pub daemon_uid: Option<u32>,
    /// Whether a look-up counts an object only where those of all ranks are there.
    pub groups: bool,
    /// The most calls under way at a time.
    pub max_concurrent_requests: u64,
    /// The most connections at a time.
    pub max_connections: u64,
    /// The most connections at a time to one host, which the daemon is.
    pub max_connections_per_host: u64,
    /// How long a call may take, in milliseconds.
    pub timeout_ms: u64,
    /// How long the daemon may hold a lease request, in milliseconds.
    pub lease_wait_ms: u64,
    /// The time to live that leases ask for, in seconds.
    pub lease_ttl_s: f64,
    /// How many bytes of a body are handed to the connection at a time.
    pub put_stream_chunk_bytes: u64,
    /// The longest object that a lease is accepted for, in bytes. `None`: any.
    pub max_lease_size_bytes: Option<u64>,
    /// How many threads copy at a time. `None`: as many as suit the machine.
    pub copy_threads: Option<NonZeroUsize>,
    /// A file with certificates, in PEM, to trust beside the system's.
    pub tls_ca_file: Option<PathBuf>,
    /// A file with the certificate of the client, in PEM.
    pub tls_certificate_file: Option<PathBuf>,
    /// The file of its private key.
    pub tls_key_file: Option<PathBuf>,
    /// The token that is sent with each request, or its file.
    pub token: Option<TokenSource>,
    /// How long a lease of a lookup is kept for the read that follows, in milliseconds. `None`:
    /// as long as the connector usually does.
    pub lease_retention_ms: Option<u64>,
    /// Oddities of the configuration that do no harm: a line each, for the log.
    pub warnings: Vec<String>,
}

impl Settings {
    /// The connector's settings.
    pub fn connector_config(&self) -> ConnectorConfig {
        let mut client = ClientConfig::new(self.address.clone());
        client.bucket = self.bucket.clone();
        client.shared_memory_name = self.shared_memory_name.clone();
        if let Some(dir) = &self.shared_memory_dir {
            client.shared_memory_dir = dir.clone();
        }
        client.trusted.daemon_uid = self.daemon_uid;
        let timeout = Duration::from_millis(self.timeout_ms);
        let connect = timeout.min(CONNECT_MAX);
        client.timeouts = Timeouts { connect, call: timeout, transfer: timeout, stall: timeout };
        // One daemon is one host: both limits hold.
        client.connections_max = at_a_time(self.max_connections.min(self.max_connections_per_host));
        client.requests_max = at_a_time(self.max_concurrent_requests);
        client.tls_ca_file = self.tls_ca_file.clone();
        client.tls_certificate_file = self.tls_certificate_file.clone();
        client.tls_key_file = self.tls_key_file.clone();
        client.token = self.token.clone();
        client.put_piece_len = usize::try_from(self.put_stream_chunk_bytes).unwrap_or(usize::MAX);

        let mut config = ConnectorConfig::new(client);
        config.socket = self.socket.clone();
        if let Some(open_ms) = self.lane_open_max_ms {
            config.lane_open_max = Duration::from_millis(open_ms);
        }
        config.index = self.index;
        config.groups = self.groups;
        config.lease_wait = Duration::from_millis(self.lease_wait_ms);
        // A positive time to live stays positive, however short.
        let lease_ttl = Duration::try_from_secs_f64(self.lease_ttl_s).unwrap_or(Duration::MAX);
        config.lease_ttl = lease_ttl.max(Duration::from_nanos(1));
        config.lease_len_max = self.max_lease_size_bytes.map(ByteSize::new);
        if let Some(retention_ms) = self.lease_retention_ms {
            config.lease_retention = Duration::from_millis(retention_ms);
        }
        config.lease_retention = config.lease_retention.min(config.lease_ttl);
        if let Some(threads) = self.copy_threads {
            config.copy_threads = threads;
        }
        config
    }
}

fn at_a_time(count: u64) -> usize {
    usize::try_from(count.min(AT_A_TIME_MAX)).unwrap_or(usize::MAX)
}
