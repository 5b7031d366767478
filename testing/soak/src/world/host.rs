//! Machine of a world: the segments, the daemons and their paths.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
};

use anyhow::Context;
use kvlease_harness::{Daemon, Segment};
use kvlease_testing::Draws;
use kvlease_types::ByteSize;
use tempfile::TempDir;

use super::{
    arguments::WorldArgs,
    shared::{DAEMONS, Shared},
    versions::SEGMENTS,
};
use crate::launch::launch;

/// Ports of the daemons. They are below those that the kernel gives to connections: a client that
/// connects again and again would otherwise once get the port of a daemon that is down.
const PORT_MIN: u64 = 20_000;
const PORTS: u64 = 10_000;

/// Longest lease and reservation, and the grace after one, in seconds: short, since their space is
/// not to be had after a kill.
const TTL_MAX_S: &str = "1";
const GRACE_S: &str = "0.3";

/// A daemon, and what it does.
pub(super) struct Host {
    pub(super) daemon: Daemon,
    pub(super) address: SocketAddr,
    /// Segment that it serves, while it runs.
    pub(super) serves: Option<usize>,
    /// Socket that it serves, while it runs.
    pub(super) socket: Option<PathBuf>,
    /// Whether it is stopped by `SIGSTOP`.
    pub(super) is_stopped: bool,
}

/// Machine of a world.
pub(super) struct Machine {
    pub(super) hosts: [Host; DAEMONS],
    pub(super) segments: [Arc<Segment>; SEGMENTS],
    /// Number of times that the files of each segment were made anew.
    pub(super) lives: [u64; SEGMENTS],
    /// Socket that both daemons use now and then.
    pub(super) shared_socket: PathBuf,
    // It has that socket, and every user may write to it, as to /dev/shm.
    _folder: TempDir,
}

impl Machine {
    pub(super) fn new(args: &WorldArgs, draws: &mut Draws) -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("kvlease-world-")?;
        fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o1777))?;
        let segments = [(); SEGMENTS].map(|()| Arc::new(Segment::new()));
        let mut host = |number: usize| {
            let address = free_address(draws)?;
            let settings = settings();
            let launch = launch(args.daemon.as_deref(), args.capacity, settings)?;
            let daemon =
                Daemon::on(launch.listen(address.to_string()), Arc::clone(&segments[number]))?;
            anyhow::Ok(Host { daemon, address, serves: None, socket: None, is_stopped: false })
        };
        let hosts = [host(0)?, host(1)?];
        let shared_socket = folder.path().join("lane.sock");
        Ok(Self { hosts, segments, lives: [0; SEGMENTS], shared_socket, _folder: folder })
    }

    /// Daemon that serves this segment, if one does.
    pub(super) fn server_of(&self, segment: usize) -> Option<usize> {
        (0..DAEMONS).find(|number| self.hosts[*number].serves == Some(segment))
    }

    /// Size of the segment's arena, if it has one.
    pub(super) fn capacity(&self, segment: usize) -> Option<ByteSize> {
        let arena = self.segments[segment].private_path().join("arena");
        fs::metadata(arena).ok().map(|metadata| ByteSize::new(metadata.len()))
    }

    /// Removes all files of a segment without a daemon.
    pub(super) fn erase(&mut self, segment: usize, shared: &Shared) {
        let files = &self.segments[segment];
        // Some may not be there.
        let _ = fs::remove_file(files.path());
        let _ = fs::remove_dir_all(files.private_path());
        self.lives[segment] += 1;
        shared.update_all(|versions| versions.erased(segment));
    }

    /// Notes that the daemon has ended.
    pub(super) fn ended(&mut self, number: usize, shared: &Shared) {
        let host = &mut self.hosts[number];
        host.is_stopped = false;
        host.socket = None;
        if let Some(segment) = host.serves.take() {
            shared.leave(number);
            shared.update_all(|versions| versions.died(segment));
        }
        shared.change(number, None, 0);
    }

    /// Logs of both daemons.
    pub(super) fn logs(&self) -> String {
        let logs = self.hosts.iter().map(|host| host.daemon.log());
        logs.collect::<Vec<_>>().join("\n--\n")
    }
}

fn settings() -> Vec<String> {
    vec![
        format!("lease.ttl_default_s={TTL_MAX_S}"),
        format!("lease.ttl_max_s={TTL_MAX_S}"),
        format!("lease.reservation_ttl_s={TTL_MAX_S}"),
        format!("lease.grace_s={GRACE_S}"),
        "server.drain_timeout_s=1".to_owned(),
    ]
}

fn free_address(draws: &mut Draws) -> anyhow::Result<SocketAddr> {
    // The seed decides nothing here: the machine's other programs have ports as well.
    let mut own = Draws::of(draws.next(), std::process::id().into());
    let free = (0..1000).find_map(|_| {
        let port = (PORT_MIN + own.below(PORTS)) as u16;
        TcpListener::bind(("127.0.0.1", port)).and_then(|listener| listener.local_addr()).ok()
    });
    free.context("no free port on the loopback interface")
}
