//! The attacked daemon, and clients of its own user.

use std::{
    ffi::OsString,
    fs,
    os::unix::fs::PermissionsExt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use kvlease_client::{
    BucketName, ClientConfig, ConnectorConfig, Key, PutOutcome, SocketChoice, blocking,
};
use kvlease_harness::{Daemon, Launch, Payload, SOON, daemon_binary, object};
use kvlease_soak::Place;
use tempfile::TempDir;

/// Bucket of the victim's objects, and that of the neighbour's.
pub(crate) const BUCKET: &str = "victim";
pub(crate) const FOREIGN_BUCKET: &str = "neighbour";

/// Size of the arena, and limit of the catalog's memory.
pub(crate) const CAPACITY: usize = 64 << 20;
const CATALOG: u64 = 32 << 20;

/// Limit of the memory of connections.
pub(crate) const CONNECTIONS: u64 = 32 << 20;

/// Documented share of everything that is neither arena nor catalog nor manifest nor connections.
const REST: u64 = 32 << 20;

/// Status of a reply that the daemon has no memory for.
const UNAVAILABLE: u16 = 503;

/// Number of good objects, and the length of each.
pub(crate) const GOOD: usize = 16;
pub(crate) const LEN: usize = 64 << 10;

/// Daemon with good objects, on a socket that every user may connect to.
pub(crate) struct Victim {
    pub(crate) daemon: Daemon,
    pub(crate) connector: blocking::Connector,
    fresh: AtomicU64,
    // It has the socket.
    _folder: TempDir,
}

impl Victim {
    pub(crate) fn new(settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let socket = folder.path().join("lane.sock");
        let launch = launch(settings).set([
            format!("server.socket={}", socket.display()),
            "server.socket_mode=0666".to_owned(),
        ]);
        let daemon = Daemon::start(launch).unwrap();
        let connector = patient_connector(&daemon);
        let fresh = AtomicU64::new(0);
        let victim = Self { daemon, connector, fresh, _folder: folder };
        victim.store_good();
        victim
    }

    /// Stores the good objects.
    pub(crate) fn store_good(&self) {
        store_good(&self.connector);
    }

    /// Arguments of an attack on this daemon.
    pub(crate) fn attack(&self, attack: &str, further: &[&str]) -> Vec<OsString> {
        let mut arguments = vec![OsString::from(attack)];
        arguments.extend(Place::of(&self.daemon).unwrap().arguments());
        arguments.extend(further.iter().map(OsString::from));
        arguments
    }

    /// Asserts that every good object is there, with every byte, for native clients and over HTTP.
    pub(crate) fn assert_good(&self) {
        self.assert_good_for_native();
        for number in 0..GOOD {
            let reply = self.daemon.call("GET", &object(BUCKET, &good(number)), b"").unwrap();
            assert_eq!(reply.status, 200, "good object `{number}`");
            assert_eq!(Payload::verify(&good(number), &reply.body), Ok(1));
        }
    }

    /// Asserts that every good object is there, with every byte, for native clients.
    pub(crate) fn assert_good_for_native(&self) {
        assert_eq!(readable(&self.connector), GOOD, "{:?}", self.connector.stats());
    }

    /// Asserts that a put and a get go on, on old and on new connections, and that operators are
    /// served.
    pub(crate) fn assert_serves(&self) {
        let name = self.assert_stores();
        let key = Key::new(name.as_str()).unwrap();
        let bytes = self.connector.get(&key).unwrap().expect("it was just stored");
        assert_eq!(Payload::verify(&name, &bytes), Ok(1));
        self.assert_operators();
        let reply = self.daemon.call("GET", &object(BUCKET, &name), b"").unwrap();
        // Without memory for the reply the daemon says so, and native clients have their leases.
        if reply.status != UNAVAILABLE {
            assert_eq!((reply.status, Payload::verify(&name, &reply.body)), (200, Ok(1)));
        }
        assert_eq!(self.connector.batched_remove(&[key]).unwrap().len(), 1);
    }

    /// Asserts that a put goes on. Returns the key.
    pub(crate) fn assert_stores(&self) -> String {
        let fresh = self.fresh.fetch_add(1, Relaxed);
        let name = format!("fresh {fresh}");
        let bytes = Payload::new(&name, 1, LEN).bytes();
        let key = Key::new(name.as_str()).unwrap();
        let put = self.connector.put(&key, bytes);
        assert!(matches!(put, Ok(PutOutcome::Stored)), "{put:?}");
        name
    }

    /// Asserts that health and metrics answer, on new connections.
    pub(crate) fn assert_operators(&self) {
        assert_eq!(self.daemon.call("GET", "/healthz", b"").unwrap().status, 200);
        assert!(self.daemon.metrics().unwrap().contains("kvlease_objects"));
    }

    /// Asserts that the daemon never had more memory than is documented.
    pub(crate) fn assert_memory(&self) {
        let (peak, most) = (self.daemon.memory_peak().unwrap(), memory_max());
        println!("memory: {peak} of {most}");
        assert!(peak <= most, "more memory than documented, peak=`{peak}` documented=`{most}`");
    }

    /// Asserts that the daemon ends and starts again, with all good objects.
    pub(crate) fn assert_starts_again(&mut self) {
        assert!(self.daemon.terminate().unwrap().success(), "{}", self.daemon.log());
        self.daemon.start_again().unwrap();
        self.connector = patient_connector(&self.daemon);
        self.assert_good();
        self.assert_serves();
    }
}

/// Settings of a daemon.
pub(crate) fn launch(settings: &[&str]) -> Launch {
    let sizes = [
        format!("cache.catalog_memory_max={CATALOG}"),
        format!("server.connection_memory_max={CONNECTIONS}"),
    ];
    Launch::new(daemon_binary(), CAPACITY.to_string()).set(sizes).set(settings.iter().copied())
}

/// Memory that the documents promise for such a daemon: `docs/configuration.md`, "Memory".
const fn memory_max() -> u64 {
    CAPACITY as u64 + 2 * CATALOG + CONNECTIONS + REST
}

/// Key of a good object.
pub(crate) fn good(number: usize) -> String {
    format!("good {number}")
}

/// Stores the good objects.
pub(crate) fn store_good(connector: &blocking::Connector) {
    for number in 0..GOOD {
        let name = good(number);
        let bytes = Payload::new(&name, 1, LEN).bytes();
        let put = connector.put(&Key::new(name).unwrap(), bytes);
        assert!(matches!(put, Ok(PutOutcome::Stored)), "{put:?}");
    }
}

/// Number of good objects that the connector returns, with every byte.
///
/// # Panics
///
/// If any byte of one is wrong.
pub(crate) fn readable(connector: &blocking::Connector) -> usize {
    let right = |number: &usize| match connector.get(&Key::new(good(*number)).unwrap()) {
        Ok(Some(bytes)) => {
            assert_eq!(Payload::verify(&good(*number), &bytes), Ok(1), "foreign bytes");
            true
        }
        Ok(None) | Err(_) => false,
    };
    (0..GOOD).filter(right).count()
}

/// Native client of the daemon's own user, with limits that no attack and no busy machine reaches.
fn patient_connector(daemon: &Daemon) -> blocking::Connector {
    let mut config = config(daemon, SocketChoice::Announced);
    let timeouts = &mut config.client.timeouts;
    (timeouts.connect, timeouts.call, config.lane_open_max) = (SOON, SOON, SOON);
    blocking::Connector::new(config).unwrap()
}

/// Native client of the daemon's own user.
pub(crate) fn connector(daemon: &Daemon, socket: SocketChoice) -> blocking::Connector {
    blocking::Connector::new(config(daemon, socket)).unwrap()
}

fn config(daemon: &Daemon, socket: SocketChoice) -> ConnectorConfig {
    let mut config = ClientConfig::new(daemon.url().parse().unwrap());
    config.bucket = BucketName::new(BUCKET).unwrap();
    config.shared_memory_name = Some(daemon.segment().name().parse().unwrap());
    let mut config = ConnectorConfig::new(config);
    config.socket = socket;
    config
}
