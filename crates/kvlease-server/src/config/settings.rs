//! The one list of settings, and the checked configuration that they make.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::PathBuf,
    time::Duration,
};

use kvlease_arena::DEFAULT_SEGMENT_MODE;
use kvlease_cache::{CurveConfig, EvictionKind};
use kvlease_engine::{
    BucketSet, EVENTS_MEMORY_DEFAULT, RATE_MIN_DEFAULT, RESERVATION_TTL_DEFAULT,
    SCRUB_RATE_DEFAULT, TierConfig,
};
use kvlease_types::{BucketName, BucketPolicy, ByteSize, DEFAULT_SEGMENT_DIR, Quota, SegmentName};

use super::{
    access_log::{AccessLogPlace, AccessLogSettings},
    arenas::Arenas,
    audit::{AuditLevel, AuditSettings},
    capture::CaptureSettings,
    error::ConfigError,
    events::{self, EventsEndpoint, EventsFormat},
    eviction::Eviction,
    listeners::{FIRST_LISTENER, ListenerConfig},
    log::{self, LogFormat, LogSettings},
    otlp::{self, OtlpEndpoint, OtlpSettings, OtlpSignals, ResourceAttributes},
    remote_url::{RemoteUrl, RemoteUrlError},
    socket::{SOCKET_MODE_DEFAULT, SocketPlace},
    status_page::StatusPagePath,
    tenants::Tenants,
    tls_files::{TlsFiles, TlsSettings},
    value,
};
use crate::sizing::{CATALOG_MEMORY_FLOOR, CONNECTION_MEMORY_MIN};

/// A configuration whose every value has been checked.
#[derive(Clone, PartialEq, Debug)]
#[expect(missing_docs, reason = "each field is the setting of its name, documented in SETTINGS")]
pub struct Config {
    pub address: SocketAddr,
    pub tls: TlsSettings,
    pub host_names: Vec<String>,
    pub status_page_path: StatusPagePath,
    pub connections_max: usize,
    pub connection_memory_max: Option<ByteSize>,
    pub header_timeout: Duration,
    pub put_stall_timeout: Duration,
    pub put_timeout: Duration,
    pub drain_timeout: Duration,
    pub socket: SocketPlace,
    pub socket_mode: u32,
    pub socket_gid: Option<u32>,
    pub socket_writers: bool,
    pub capacity: Option<ByteSize>,
    pub shared_memory_name: SegmentName,
    pub shared_memory_dir: PathBuf,
    pub segment_mode: u32,
    pub segment_uid: Option<u32>,
    pub segment_gid: Option<u32>,
    pub huge_pages: bool,
    pub eviction: Eviction,
    pub curve_memory_max: Option<ByteSize>,
    pub catalog_memory_max: Option<ByteSize>,
    pub object_len_max: ByteSize,
    pub scrub_rate: Option<ByteSize>,
    pub cold: bool,
    pub lease_ttl_default: Duration,
    pub lease_ttl_max: Duration,
    pub lease_grace: Duration,
    pub lease_wait_max: Duration,
    pub leases_max: Option<usize>,
    pub reservation_ttl: Duration,
    pub checkpoint_capacity: Option<ByteSize>,
    pub checkpoint_disk_capacity: Option<ByteSize>,
    pub checkpoint_replicate: bool,
    pub nvme_path: Option<PathBuf>,
    pub nvme_capacity: Option<ByteSize>,
    pub nvme_write_through: BucketSet,
    pub nvme_rate_min: Option<ByteSize>,
    pub nvme_rate_max: Option<ByteSize>,
    pub remote_url: Option<RemoteUrl>,
    pub remote_tls_ca_file: Option<PathBuf>,
    pub remote_lookup_always: bool,
    pub remote_write_through: BucketSet,
    pub remote_rate_min: Option<ByteSize>,
    pub remote_find_timeout: Duration,
    pub remote_timeout: Duration,
    pub events_endpoint: Option<EventsEndpoint>,
    pub events_replay_endpoint: Option<SocketAddr>,
    pub events_topic: String,
    pub events_format: EventsFormat,
    pub events_memory_max: ByteSize,
    pub capture: CaptureSettings,
    pub audit: AuditSettings,
    pub access_log: AccessLogSettings,
    pub log: LogSettings,
    pub otlp: OtlpSettings,
    /// Policies of buckets, each in a section of its own, `[bucket."NAME"]`.
    pub buckets: BTreeMap<BucketName, BucketPolicy>,
    /// Quotas of buckets, in the same sections.
    pub bucket_quotas: BTreeMap<BucketName, Quota>,
    /// Times of answers to reads and look-ups of buckets, in the same sections.
    pub answer_times: BTreeMap<BucketName, Duration>,
    /// Buckets in which keys of LMCache need a cache salt, in the same sections.
    pub salted_buckets: BTreeSet<String>,
    /// Listeners beside `address`, each in a section of its own, `[listener."NAME"]`.
    pub listeners: BTreeMap<String, ListenerConfig>,
    /// Arenas beside that of `[cache]`, each in a section of its own, `[arena."NAME"]`.
    pub arenas: Arenas,
    /// Tenants, each in a section of its own, `[tenant."NAME"]`; without any, every caller may do everything.
    pub tenants: Tenants,
}

impl Config {
    /// The path of the fast lane's socket; `None` if there is to be none.
    pub fn socket_path(&self) -> Result<Option<PathBuf>, ConfigError> {
        self.socket.path(&self.shared_memory_dir, &self.shared_memory_name)
    }

    /// Files of TLS at `address`; `None` for plain HTTP.
    ///
    /// # Errors
    ///
    /// A file that another one is missing for.
    pub fn tls(&self) -> Result<Option<TlsFiles>, ConfigError> {
        self.tls.clone().checked(FIRST_LISTENER, "default")
    }

    /// Whether the running daemon reads something again on SIGHUP: the configuration for its quotas, where there are
    /// tenants or quotas, and files that it names.
    pub fn is_reread(&self) -> bool {
        self.rereads_quotas()
            || self.tls.certificate.is_some()
            || self.listeners.values().any(|listener| listener.tls.is_some())
    }

    /// Whether the running daemon reads its quotas again on SIGHUP.
    pub fn rereads_quotas(&self) -> bool {
        !self.tenants.is_empty() || !self.bucket_quotas.is_empty()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 9200)),
            tls: TlsSettings::default(),
            host_names: Vec::new(),
            status_page_path: StatusPagePath::default(),
            connections_max: 8_192,
            connection_memory_max: None,
            header_timeout: Duration::from_secs(75),
            put_stall_timeout: Duration::from_secs(10),
            put_timeout: Duration::from_secs(120),
            drain_timeout: Duration::from_secs(10),
            socket: SocketPlace::Auto,
            socket_mode: SOCKET_MODE_DEFAULT,
            socket_gid: None,
            socket_writers: true,
            capacity: None,
            shared_memory_name: "shared_memory".parse().expect("the default name is valid"),
            shared_memory_dir: DEFAULT_SEGMENT_DIR.into(),
            segment_mode: DEFAULT_SEGMENT_MODE,
            segment_uid: None,
            segment_gid: None,
            huge_pages: true,
            eviction: Eviction::Always(EvictionKind::default()),
            curve_memory_max: None,
            catalog_memory_max: None,
            object_len_max: ByteSize::gib(1),
            scrub_rate: Some(SCRUB_RATE_DEFAULT),
            cold: false,
            lease_ttl_default: Duration::from_secs(30),
            lease_ttl_max: Duration::from_secs(300),
            lease_grace: Duration::from_secs(10),
            lease_wait_max: Duration::from_secs(30),
            leases_max: None,
            reservation_ttl: RESERVATION_TTL_DEFAULT,
            checkpoint_capacity: None,
            checkpoint_disk_capacity: None,
            checkpoint_replicate: false,
            nvme_path: None,
            nvme_capacity: None,
            nvme_write_through: BucketSet::NONE,
            nvme_rate_min: Some(RATE_MIN_DEFAULT),
            nvme_rate_max: None,
            remote_url: None,
            remote_tls_ca_file: None,
            remote_lookup_always: false,
            remote_write_through: BucketSet::All,
            remote_rate_min: Some(RATE_MIN_DEFAULT),
            remote_find_timeout: TierConfig::FIND_TIMEOUT_DEFAULT,
            remote_timeout: TierConfig::TIMEOUT_DEFAULT,
            events_endpoint: None,
            events_replay_endpoint: None,
            events_topic: String::new(),
            events_format: EventsFormat::Maps,
            events_memory_max: EVENTS_MEMORY_DEFAULT,
            capture: CaptureSettings::default(),
            audit: AuditSettings::default(),
            access_log: AccessLogSettings::default(),
            log: LogSettings::default(),
            otlp: OtlpSettings::default(),
            buckets: BTreeMap::new(),
            bucket_quotas: BTreeMap::new(),
            answer_times: BTreeMap::new(),
            salted_buckets: BTreeSet::new(),
            listeners: BTreeMap::new(),
            arenas: Arenas::new(),
            tenants: Tenants::new(),
        }
    }
}

/// One thing that can be configured.
#[derive(Clone, Copy)]
pub struct Setting {
    /// Section and key in the file.
    pub path: &'static str,
    /// Environment variable.
    pub env: &'static str,
    /// Effect, and unit.
    pub about: &'static str,
    /// Whether the file writes it as a string.
    pub quoted: bool,
    pub(super) set: fn(&mut Config, &str) -> Result<(), String>,
    pub(super) get: fn(&Config) -> String,
}

impl Setting {
    /// The section of the file that it is in.
    pub fn section(&self) -> &'static str {
        split(self.path).0
    }

    /// Its key in the section.
    pub fn key(&self) -> &'static str {
        split(self.path).1
    }

    /// The value that holds, as one writes it.
    pub fn value(&self, config: &Config) -> String {
        (self.get)(config)
    }
}

/// Section and key of a path. Sections may have sections.
pub(super) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('.').unwrap_or(("", path))
}

/// Makes a [`Setting`] whose value is one field of [`Config`].
macro_rules! setting {
    ($path:literal, $env:literal, $($field:ident).+, $quoted:literal, $parse:expr, $show:expr, $about:literal) => {
        Setting {
            path: $path,
            env: $env,
            about: $about,
            quoted: $quoted,
            set: |config, text| {
                config.$($field).+ = $parse(text)?;
                Ok(())
            },
            get: |config| $show(&config.$($field).+),
        }
    };
}

/// Everything that can be configured.
#[rustfmt::skip]
pub const SETTINGS: &[Setting] = &[
    setting!("server.address", "KVLEASE_LISTEN", address, true, value::address, SocketAddr::to_string,
        "address and port to serve HTTP on; port 0 takes a free one"),
    setting!("server.tls_certificate_file", "KVLEASE_TLS_CERTIFICATE_FILE", tls.certificate, true, value::path_or_none, |v: &Option<PathBuf>| value::or_no_path(v.as_ref()),
        "PEM file with the certificate of server.address, and those of the authorities between it and a trusted one; `none` for plain HTTP"),
    setting!("server.tls_key_file", "KVLEASE_TLS_KEY_FILE", tls.key, true, value::path_or_none, |v: &Option<PathBuf>| value::or_no_path(v.as_ref()),
        "PEM file with the private key of that certificate"),
    setting!("server.tls_client_ca_file", "KVLEASE_TLS_CLIENT_CA_FILE", tls.client_ca, true, value::path_or_none, |v: &Option<PathBuf>| value::or_no_path(v.as_ref()),
        "PEM file with certificates of authorities; a client must then have a certificate that one of them signed; `none` to ask clients for none"),
    setting!("server.host_names", "KVLEASE_HOST_NAMES", host_names, true, value::names, |v: &Vec<String>| value::or_no_names(v),
        "names, separated by commas, that a daemon on the loopback interface answers to in `Host`, beside addresses, `localhost` and the machine's own names; `none` for no more"),
    setting!("server.status_page_path", "KVLEASE_STATUS_PAGE_PATH", status_page_path, true, StatusPagePath::parse, StatusPagePath::to_string,
        "path of the status page, such as `/status`; `none` for no page"),
    setting!("server.connections_max", "KVLEASE_CONNECTIONS_MAX", connections_max, false, value::connections, usize::to_string,
        "limit of connections served at the same time, for HTTP and for the fast lane each; more wait to be accepted. As many as server.connection_memory_max has memory for"),
    setting!("server.connection_memory_max", "KVLEASE_CONNECTION_MEMORY_MAX", connection_memory_max, true, connection_memory, |v: &Option<_>| value::or_auto(*v),
        "hard limit of the memory of all connections, of at least 32MiB; `auto` is what the memory limit of the control group leaves, at least 32MiB and at most 2GiB"),
    setting!("server.header_timeout_s", "KVLEASE_HEADER_TIMEOUT_S", header_timeout, false, value::seconds, seconds,
        "seconds for a whole request head, including the idle time of the connection before it; keep it above the 30 s for which LMCache keeps idle connections"),
    setting!("server.put_stall_timeout_s", "KVLEASE_PUT_STALL_TIMEOUT_S", put_stall_timeout, false, value::seconds, seconds,
        "seconds without a byte after which an upload is discarded, and a client of the fast lane that reads no answers is disconnected"),
    setting!("server.put_timeout_s", "KVLEASE_PUT_TIMEOUT_S", put_timeout, false, value::seconds, seconds,
        "time limit of a whole upload, in seconds"),
    setting!("server.drain_timeout_s", "KVLEASE_DRAIN_TIMEOUT_S", drain_timeout, false, value::seconds, seconds,
        "seconds for which a stopping daemon waits for running transfers and live leases"),
    setting!("server.socket", "KVLEASE_SOCKET", socket, true, SocketPlace::parse, SocketPlace::to_string,
        "path of the fast lane's Unix socket; `auto` is `.kvlane.NAME/sock` in cache.shared_memory_dir, `none` disables the fast lane"),
    setting!("server.socket_mode", "KVLEASE_SOCKET_MODE", socket_mode, true, value::mode, |v: &u32| format!("{v:04o}"),
        "file mode of that socket; users with write permission may use the fast lane"),
    setting!("server.socket_gid", "KVLEASE_SOCKET_GID", socket_gid, true, value::owner, |v: &Option<_>| value::or_keep(*v),
        "numeric group of that socket"),
    setting!("server.socket_writers", "KVLEASE_SOCKET_WRITERS", socket_writers, false, value::flag, bool::to_string,
        "let clients of the fast lane write objects straight into the arena"),
    setting!("cache.capacity", "KVLEASE_CAPACITY", capacity, true, value::size_or_auto, |v: &Option<_>| value::or_auto(*v),
        "size of the arena; `auto` keeps the size of an existing segment, or takes a quarter of the free shared memory, at least 64MiB and at most 8GiB"),
    setting!("cache.shared_memory_name", "KVLEASE_SHARED_MEMORY_NAME", shared_memory_name, true, segment_name, SegmentName::to_string,
        "name of the segment that clients attach to"),
    setting!("cache.shared_memory_dir", "KVLEASE_SHARED_MEMORY_DIR", shared_memory_dir, true, value::path, |v: &PathBuf| v.display().to_string(),
        "tmpfs directory of the segment"),
    setting!("cache.segment_mode", "KVLEASE_SEGMENT_MODE", segment_mode, true, value::mode, |v: &u32| format!("{v:04o}"),
        "file mode of the segment; stock in-process clients need write permission, all others only read permission"),
    setting!("cache.segment_uid", "KVLEASE_SEGMENT_UID", segment_uid, true, value::owner, |v: &Option<_>| value::or_keep(*v),
        "numeric owner of the segment"),
    setting!("cache.segment_gid", "KVLEASE_SEGMENT_GID", segment_gid, true, value::owner, |v: &Option<_>| value::or_keep(*v),
        "numeric group of the segment"),
    setting!("cache.huge_pages", "KVLEASE_HUGE_PAGES", huge_pages, false, value::flag, bool::to_string,
        "request huge pages from the kernel, which grants them if the tmpfs is mounted with `huge=`"),
    setting!("cache.eviction", "KVLEASE_EVICTION", eviction, true, |text: &str| text.parse(), Eviction::to_string,
        "eviction policy, the order in which unleased objects are evicted: `lru`, `s3-fifo` or `hit-density`; `auto` for the one that the live curve finds best, which needs cache.curve_memory_max"),
    setting!("cache.curve_memory_max", "KVLEASE_CURVE_MEMORY_MAX", curve_memory_max, true, curve_memory, |v: &Option<_>| value::or_none(*v),
        "memory of the live curve, which tells the hit ratio with other capacities and policies, of at least 8MiB; `none` for no curve"),
    setting!("cache.catalog_memory_max", "KVLEASE_CATALOG_MEMORY_MAX", catalog_memory_max, true, catalog_memory, |v: &Option<_>| value::or_auto(*v),
        "hard limit of the catalog's memory, which is separate from the arena, of at least 1MiB; `auto` is 1/64 of the capacity, at least 32MiB"),
    setting!("cache.object_len_max", "KVLEASE_OBJECT_LEN_MAX", object_len_max, true, value::size, ByteSize::to_string,
        "size limit of an object"),
    setting!("cache.scrub_rate", "KVLEASE_SCRUB_RATE", scrub_rate, true, value::size_or_none, |v: &Option<_>| value::or_none(*v),
        "bytes per second that the scrubber verifies in the background; `none` disables it"),
    setting!("cache.cold", "KVLEASE_COLD", cold, false, value::flag, bool::to_string,
        "start with an empty cache, without restoring the objects of an earlier daemon"),
    setting!("lease.ttl_default_s", "KVLEASE_LEASE_TTL_DEFAULT_S", lease_ttl_default, false, value::seconds, seconds,
        "time to live of a lease, in seconds, if the client requests none; at most lease.ttl_max_s"),
    setting!("lease.ttl_max_s", "KVLEASE_LEASE_TTL_MAX_S", lease_ttl_max, false, value::seconds, seconds,
        "longest time to live of a lease, in seconds; longer requests are cut to it"),
    setting!("lease.grace_s", "KVLEASE_LEASE_GRACE_S", lease_grace, false, value::seconds, seconds,
        "grace: seconds between the deadline of an unreleased lease and the reuse of its extents"),
    setting!("lease.wait_max_s", "KVLEASE_LEASE_WAIT_MAX_S", lease_wait_max, false, value::seconds, seconds,
        "longest time, in seconds, that a lease request waits for a pending object"),
    setting!("lease.live_max", "KVLEASE_LEASE_LIVE_MAX", leases_max, true, value::leases_or_auto, |v: &Option<_>| value::or_auto(*v),
        "limit of leases that are live at the same time; at most as many as fit into an eighth of cache.catalog_memory_max; `auto` is that, and at most 262144; a connection of the fast lane, and all clients of HTTP together, may have half of them, or 16384 if that is more; all connections of one user may have 7/8 of them"),
    setting!("lease.reservation_ttl_s", "KVLEASE_LEASE_RESERVATION_TTL_S", reservation_ttl, false, value::seconds, seconds,
        "seconds within which a client of the fast lane must commit a reservation"),
    setting!("checkpoint.capacity", "KVLEASE_CHECKPOINT_CAPACITY", checkpoint_capacity, true, checkpoint_capacity, |v: &Option<ByteSize>| match v { Some(ByteSize::ZERO) => "none".into(), size => value::or_auto(*size) },
        "part of the arena that checkpoints of training jobs may take, which eviction never does; `auto` is half of the arena, `none` leaves them the disk alone"),
    setting!("checkpoint.disk_capacity", "KVLEASE_CHECKPOINT_DISK_CAPACITY", checkpoint_disk_capacity, true, checkpoint_capacity, |v: &Option<ByteSize>| match v { Some(ByteSize::ZERO) => "none".into(), size => value::or_auto(*size) },
        "bytes that shards of checkpoints may take in files beside that of tier.nvme, once their part of the arena is full; `auto` is half of tier.nvme.capacity, `none` for no such files"),
    setting!("checkpoint.replicate", "KVLEASE_CHECKPOINT_REPLICATE", checkpoint_replicate, true, value::flag, bool::to_string,
        "copy shards of checkpoints to tier.remote as well, from which other nodes load them"),
    setting!("tier.nvme.path", "KVLEASE_TIER_NVME_PATH", nvme_path, true, value::path_or_none, |v: &Option<PathBuf>| value::or_no_path(v.as_ref()),
        "directory on a local disk for the objects that are evicted; `none` for no such tier"),
    setting!("tier.nvme.capacity", "KVLEASE_TIER_NVME_CAPACITY", nvme_capacity, true, value::size_or_auto, |v: &Option<_>| value::or_auto(*v),
        "size of the file in it; `auto` keeps the size of an existing one, or takes half of what is free"),
    setting!("tier.nvme.write_through", "KVLEASE_TIER_NVME_WRITE_THROUGH", nvme_write_through, true, buckets, BucketSet::to_string,
        "buckets, separated by commas, whose objects are copied to the disk as soon as they are stored and not only when they are evicted; `all`, or `none`"),
    setting!("tier.nvme.rate_min", "KVLEASE_TIER_NVME_RATE_MIN", nvme_rate_min, true, value::size_or_none, |v: &Option<_>| value::or_none(*v),
        "bytes per second that loads from the disk must reach to be used; below, computing the KV cache again is quicker; `none` for any rate"),
    setting!("tier.nvme.rate_max", "KVLEASE_TIER_NVME_RATE_MAX", nvme_rate_max, true, value::size_or_none, |v: &Option<_>| value::or_none(*v),
        "bytes per second that are written to the disk, at most; loads, for which readers wait, have no limit; `none` for as many as the disk takes"),
    setting!("tier.remote.url", "KVLEASE_TIER_REMOTE_URL", remote_url, true, remote_url, |v: &Option<RemoteUrl>| v.as_ref().map_or_else(|| "none".into(), RemoteUrl::to_string),
        "store that several nodes share: `s3://BUCKET/PREFIX` or `redis://HOST:PORT`; `none` for no such tier"),
    setting!("tier.remote.tls_ca_file", "KVLEASE_TIER_REMOTE_TLS_CA_FILE", remote_tls_ca_file, true, value::path_or_none, |v: &Option<PathBuf>| value::or_no_path(v.as_ref()),
        "PEM file with certificates of authorities that may have signed the store's, beside the system's; `none` for those of the system alone"),
    setting!("tier.remote.lookup_always", "KVLEASE_TIER_REMOTE_LOOKUP_ALWAYS", remote_lookup_always, false, value::flag, bool::to_string,
        "ask the store for each absent key, and not only for keys that a node announced"),
    setting!("tier.remote.write_through", "KVLEASE_TIER_REMOTE_WRITE_THROUGH", remote_write_through, true, buckets, BucketSet::to_string,
        "buckets, separated by commas, whose objects are copied to the store as soon as they are stored; `all`, or `none`"),
    setting!("tier.remote.rate_min", "KVLEASE_TIER_REMOTE_RATE_MIN", remote_rate_min, true, value::size_or_none, |v: &Option<_>| value::or_none(*v),
        "bytes per second that loads from the store must reach to be used; `none` for any rate"),
    setting!("tier.remote.find_timeout_s", "KVLEASE_TIER_REMOTE_FIND_TIMEOUT_S", remote_find_timeout, false, value::seconds, seconds,
        "longest time, in seconds, that a look-up waits for the store"),
    setting!("tier.remote.timeout_s", "KVLEASE_TIER_REMOTE_TIMEOUT_S", remote_timeout, false, value::seconds, seconds,
        "longest time, in seconds, of a transfer to or from the store"),
    setting!("events.endpoint", "KVLEASE_EVENTS_ENDPOINT", events_endpoint, true, EventsEndpoint::parse, |v: &Option<EventsEndpoint>| v.as_ref().map_or_else(|| "none".into(), EventsEndpoint::to_string),
        "where KV events are published over ZeroMQ: an address and a port to listen on, `tcp://*:PORT` for all addresses, `tcp://HOST:PORT` of a subscriber that listens, or `none`"),
    setting!("events.replay_endpoint", "KVLEASE_EVENTS_REPLAY_ENDPOINT", events_replay_endpoint, true, events::replay, |v: &Option<SocketAddr>| v.map_or_else(|| "none".into(), |v| v.to_string()),
        "address and port to listen on for requests for KV events that were missed, `tcp://*:PORT` for all addresses, or `none`"),
    setting!("events.topic", "KVLEASE_EVENTS_TOPIC", events_topic, true, events::topic, |v: &String| events::or_no_topic(v),
        "topic of the KV events; `none` for an empty one"),
    setting!("events.format", "KVLEASE_EVENTS_FORMAT", events_format, true, EventsFormat::parse, |v: &EventsFormat| v.name().to_owned(),
        "form of each KV event: `maps`, or `arrays` as vLLM wrote them before June 2026"),
    setting!("events.memory_max", "KVLEASE_EVENTS_MEMORY_MAX", events_memory_max, true, value::size, ByteSize::to_string,
        "memory for events that subscribers have not read yet, or ask for again; taken only while there are subscribers, and with events.endpoint four times"),
    setting!("capture.path", "KVLEASE_CAPTURE_PATH", capture.path, true, value::path_or_none, |v: &Option<PathBuf>| value::or_no_path(v.as_ref()),
        "file that the stream of requests is written to, with hashes in place of names, for `kvlease replay`; `none` for no capture"),
    setting!("capture.file_size", "KVLEASE_CAPTURE_FILE_SIZE", capture.file_size, true, log_file_size, ByteSize::to_string,
        "longest file of the capture, of at least 1MiB; then the next one is begun"),
    setting!("capture.files_max", "KVLEASE_CAPTURE_FILES_MAX", capture.files_max, false, value::files, usize::to_string,
        "limit of files of the capture: earlier ones have `.1`, `.2`, … behind the name, and the oldest is removed"),
    setting!("capture.secret_file", "KVLEASE_CAPTURE_SECRET_FILE", capture.secret_file, true, value::path_or_none, |v: &Option<PathBuf>| value::or_no_path(v.as_ref()),
        "file with the secret of the hashes, 32 hexadecimal digits, so that several captures have the same ones; `none` for a new secret with each start"),
    setting!("audit.path", "KVLEASE_AUDIT_PATH", audit.path, true, value::path_or_none, |v: &Option<PathBuf>| value::or_no_path(v.as_ref()),
        "file that the audit log is written to: who did what, when, and what came of it; `none` for no audit log"),
    setting!("audit.level", "KVLEASE_AUDIT_LEVEL", audit.level, true, AuditLevel::parse, |v: &AuditLevel| v.name().to_owned(),
        "what the audit log has: `refused` for refusals and changes of policies, `changed` for what stores or removes objects as well, `all` for every request"),
    setting!("audit.file_size", "KVLEASE_AUDIT_FILE_SIZE", audit.file_size, true, log_file_size, ByteSize::to_string,
        "longest file of the audit log, of at least 1MiB; then the next one is begun"),
    setting!("audit.files_max", "KVLEASE_AUDIT_FILES_MAX", audit.files_max, false, value::files, usize::to_string,
        "limit of files of the audit log: earlier ones have `.1`, `.2`, … behind the name, and the oldest is removed"),
    setting!("access_log.path", "KVLEASE_ACCESS_LOG_PATH", access_log.path, true, AccessLogPlace::parse, AccessLogPlace::to_string,
        "file that the access log is written to, a line for each request; `log` for lines in the daemon's own log, `none` for no access log"),
    setting!("access_log.sample", "KVLEASE_ACCESS_LOG_SAMPLE", access_log.sample, false, value::sample, usize::to_string,
        "one request in this number has a line in the access log, and every error"),
    setting!("access_log.file_size", "KVLEASE_ACCESS_LOG_FILE_SIZE", access_log.file_size, true, log_file_size, ByteSize::to_string,
        "longest file of the access log, of at least 1MiB; then the next one is begun"),
    setting!("access_log.files_max", "KVLEASE_ACCESS_LOG_FILES_MAX", access_log.files_max, false, value::files, usize::to_string,
        "limit of files of the access log: earlier ones have `.1`, `.2`, … behind the name, and the oldest is removed"),
    setting!("log.format", "KVLEASE_LOG_FORMAT", log.format, true, LogFormat::parse, |v: &LogFormat| v.name().to_owned(),
        "`human`, or `json`: one object a line"),
    setting!("log.level", "KVLEASE_LOG_LEVEL", log.level, true, log::level, |v: &tracing::Level| v.as_str().to_lowercase(),
        "`error`, `warn`, `info`, `debug` or `trace`"),
    setting!("otlp.endpoint", "KVLEASE_OTLP_ENDPOINT", otlp.endpoint, true, OtlpEndpoint::parse, |v: &Option<OtlpEndpoint>| v.as_ref().map_or_else(|| "none".into(), OtlpEndpoint::to_string),
        "base URL of an OpenTelemetry collector that takes OTLP over HTTP, such as `http://127.0.0.1:4318`, for traces and metrics; `none` to send nothing"),
    setting!("otlp.headers_file", "KVLEASE_OTLP_HEADERS_FILE", otlp.headers_file, true, value::path_or_none, |v: &Option<PathBuf>| value::or_no_path(v.as_ref()),
        "file with headers of every request to the collector, `NAME: VALUE` a line, such as its token; `none` for no headers"),
    setting!("otlp.tls_ca_file", "KVLEASE_OTLP_TLS_CA_FILE", otlp.tls_ca_file, true, value::path_or_none, |v: &Option<PathBuf>| value::or_no_path(v.as_ref()),
        "PEM file with certificates of authorities that may have signed the collector's, beside the system's; `none` for those of the system alone"),
    setting!("otlp.signals", "KVLEASE_OTLP_SIGNALS", otlp.signals, true, OtlpSignals::parse, |v: &OtlpSignals| v.name().to_owned(),
        "what is sent: `traces`, `metrics`, or `all` for both"),
    setting!("otlp.sample_ratio", "KVLEASE_OTLP_SAMPLE_RATIO", otlp.sample_ratio, false, otlp::ratio, f64::to_string,
        "part of the requests that are traced, from 0 to 1; a request with a `traceparent` is traced if that says so"),
    setting!("otlp.interval_s", "KVLEASE_OTLP_INTERVAL_S", otlp.interval, false, value::seconds, seconds,
        "seconds between two exports of the metrics"),
    setting!("otlp.timeout_s", "KVLEASE_OTLP_TIMEOUT_S", otlp.timeout, false, value::seconds, seconds,
        "longest time, in seconds, of a request to the collector"),
    setting!("otlp.resource_attributes", "KVLEASE_OTLP_RESOURCE_ATTRIBUTES", otlp.resource_attributes, true, ResourceAttributes::parse, ResourceAttributes::to_string,
        "attributes of the daemon beside its own, `NAME=VALUE` separated by commas, with values percent-encoded; `none` for no more"),
];

fn connection_memory(text: &str) -> Result<Option<ByteSize>, String> {
    memory_or_auto(text, CONNECTION_MEMORY_MIN)
}

fn catalog_memory(text: &str) -> Result<Option<ByteSize>, String> {
    memory_or_auto(text, CATALOG_MEMORY_FLOOR)
}

/// A size that a live curve can do with, or `None` for `none`.
fn curve_memory(text: &str) -> Result<Option<ByteSize>, String> {
    match value::size_or_none(text)? {
        Some(size) if size < CurveConfig::MEMORY_MIN => {
            Err(format!("write at least `{}`, or `none`", CurveConfig::MEMORY_MIN))
        }
        size => Ok(size),
    }
}

/// A size, zero for `none`, or `None` for `auto`.
fn checkpoint_capacity(text: &str) -> Result<Option<ByteSize>, String> {
    if text == "none" { Ok(Some(ByteSize::ZERO)) } else { value::size_or_auto(text) }
}

/// A size of a file that the longest line fits into.
fn log_file_size(text: &str) -> Result<ByteSize, String> {
    let least = ByteSize::mib(1);
    match value::size(text)? {
        size if size < least => Err(format!("write at least `{least}`")),
        size => Ok(size),
    }
}

/// A size of at least `least`, or `None` for `auto`.
fn memory_or_auto(text: &str, least: ByteSize) -> Result<Option<ByteSize>, String> {
    match value::size_or_auto(text)? {
        Some(size) if size < least => Err(format!("write at least `{least}`, or `auto`")),
        size => Ok(size),
    }
}

fn segment_name(text: &str) -> Result<SegmentName, String> {
    text.parse().map_err(|error: kvlease_types::SegmentNameError| error.to_string())
}

/// Names of buckets. What looks like a pattern or a switch would name a bucket that is never there.
fn buckets(text: &str) -> Result<BucketSet, String> {
    let is_name = |name: &str| {
        !name.contains('*') && !matches!(name, "true" | "false" | "yes" | "no" | "on" | "off")
    };
    if !text.split(',').map(str::trim).all(is_name) {
        return Err(
            "write `all`, `none`, or whole names of buckets with commas between them: no patterns"
                .to_owned(),
        );
    }
    text.parse().map_err(|error: std::convert::Infallible| match error {})
}

fn remote_url(text: &str) -> Result<Option<RemoteUrl>, String> {
    let parsed = || text.parse().map(Some).map_err(|error: RemoteUrlError| error.to_string());
    if text == "none" { Ok(None) } else { parsed() }
}

fn seconds(span: &Duration) -> String {
    span.as_secs_f64().to_string()
}
