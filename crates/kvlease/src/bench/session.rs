//! One run of the benchmark: the daemon, its arena and what every measurement needs.

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
    thread,
    time::{Duration, Instant},
};

use indicatif::ProgressBar;
use kvlease_client::{
    Address, Attachment, BucketName, ByteSize, Client, ClientConfig, SegmentName, StatsReply,
    encode,
};

use super::{
    args::BenchArgs,
    daemon::Daemon,
    plan::{self, LaneCell, Plan},
    wire::{self, Connection},
};
use crate::{
    arguments::DaemonArgs,
    failure::{Failure, Status},
    interrupt, progress,
};

/// How long the arena may take until all of it is populated.
const POPULATE_MAX: Duration = Duration::from_secs(300);

/// The most time until a daemon that is not busy yet answers.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// How often the daemon is asked how far it is.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// A daemon and everything that is measured against it.
pub(super) struct Session {
    /// The daemon, if it is one of ours.
    daemon: Option<Daemon>,
    plan: Plan,
    pub(super) address: Address,
    /// `/v1/kv/{bucket}/` and the part of all keys that makes them this run's own.
    pub(super) path_prefix: String,
    pub(super) bucket: BucketName,
    pub(super) rounds: usize,
    pub(super) attachment: Option<Arc<Attachment>>,
    pub(super) progress: ProgressBar,
    stats: StatsReply,
    interrupted: Interrupted,
}

/// Place of a daemon's fast lane, and the part of all keys that makes them a client's own.
#[derive(Clone, Debug)]
pub(super) struct LanePlace {
    pub(super) address: Address,
    pub(super) bucket: BucketName,
    pub(super) socket: PathBuf,
    pub(super) key_prefix: String,
}

impl Session {
    /// Finds or starts the daemon and waits until its arena is populated.
    pub(super) fn start(daemon: &DaemonArgs, args: &BenchArgs) -> Result<Self, Failure> {
        daemon.ensure_plain()?;
        let interrupted = Interrupted::watch()?;
        let clients: Vec<usize> = args.clients.iter().map(|count| usize::from(*count)).collect();
        let (address, own) = match daemon.named()? {
            Some(_) if args.capacity.is_some() => {
                return Err(Failure::new(
                    Status::Usage,
                    "`--capacity` is for a daemon that bench starts: leave it out, or unset \
                     `--url` and `KVLEASE_URL`",
                ));
            }
            Some(address) => (address, None),
            None => {
                let capacity = match args.capacity {
                    Some(capacity) => capacity,
                    None => plan::capacity(&args.sizes, &clients)?,
                };
                let own = Daemon::start(capacity, None)?;
                (own.address().clone(), Some(own))
            }
        };
        let bucket = daemon.bucket()?;
        Self::with(address, own, (&args.sizes, &clients), bucket, args.rounds, interrupted)
    }

    /// Starts a daemon with a catalog of this limit, for rows of one client with objects of these sizes.
    pub(super) fn own(
        (capacity, catalog): (ByteSize, Option<ByteSize>),
        sizes: &[ByteSize],
        bucket: BucketName,
        rounds: u16,
        interrupted: &Interrupted,
    ) -> Result<Self, Failure> {
        let own = Daemon::start(capacity, catalog)?;
        let address = own.address().clone();
        Self::with(address, Some(own), (sizes, &[]), bucket, rounds, interrupted.clone())
    }

    fn with(
        address: Address,
        daemon: Option<Daemon>,
        (sizes, clients): (&[ByteSize], &[usize]),
        bucket: BucketName,
        rounds: u16,
        interrupted: Interrupted,
    ) -> Result<Self, Failure> {
        let stats = populated_stats(&address, &interrupted)?;
        let plan = Plan::new(sizes, clients, ByteSize::new(stats.capacity))?;
        Ok(Self {
            attachment: attach(&address, &stats),
            path_prefix: format!("/v1/kv/{}/{}", encode(bucket.as_str()), key_prefix()),
            bucket,
            progress: ProgressBar::hidden(),
            daemon,
            plan,
            address,
            rounds: usize::from(rounds),
            stats,
            interrupted,
        })
    }

    /// Rows of all tables.
    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Shows progress from here on, in this many steps.
    pub(super) fn show_progress(&mut self, steps: usize) {
        self.progress = progress::steps(steps);
    }

    /// State of the daemon before the first measurement.
    pub(super) fn stats(&self) -> &StatsReply {
        &self.stats
    }

    /// Place of the daemon's fast lane at this socket.
    pub(super) fn lane_place(&self, socket: PathBuf) -> LanePlace {
        let (address, bucket) = (self.address.clone(), self.bucket.clone());
        LanePlace { address, bucket, socket, key_prefix: format!("{}-lane", key_prefix()) }
    }

    /// The rows of the fast lane's table.
    pub(super) fn lane_cells(&self) -> &[LaneCell] {
        self.plan.lane_cells()
    }

    /// Connections for this many clients.
    pub(super) fn connect(&self, clients: usize) -> Result<Vec<Connection>, Failure> {
        (0..clients).map(|_| Connection::open(&self.address).map_err(wire::failed)).collect()
    }

    /// State of the daemon now.
    pub(super) fn stats_now(&self) -> Result<StatsReply, Failure> {
        self.connect(1)?.remove(0).json("GET", "/v1/stats").map_err(wire::failed)
    }

    /// Kills the daemon and returns how long another one took to take its segment over; `None` unless
    /// the daemon is one of this run.
    pub(super) fn replace_daemon(&mut self) -> Result<Option<Duration>, Failure> {
        self.daemon.as_mut().map(Daemon::replace).transpose()
    }

    /// The daemon's process, if it is known.
    pub(super) fn daemon_pid(&self) -> Option<u32> {
        self.daemon.as_ref().map(Daemon::pid)
    }

    /// Fails once the run was interrupted.
    pub(super) fn check_interrupted(&self) -> Result<(), Failure> {
        self.interrupted.check()
    }
}

fn key_prefix() -> String {
    format!("kvlease-bench-{}", std::process::id())
}

/// The signal that asks the run to end, once there was one. The run looks at it between rounds, so that
/// it can remove its objects and its daemon.
#[derive(Clone, Debug)]
pub(super) struct Interrupted(Arc<OnceLock<Status>>);

impl Interrupted {
    /// Watches from here on.
    pub(super) fn watch() -> Result<Self, Failure> {
        let ended = Arc::new(OnceLock::new());
        let set = Arc::clone(&ended);
        interrupt::on_signal(move |status| {
            set.set(status).expect("it is called once");
        })?;
        Ok(Self(ended))
    }

    /// Fails once the run was interrupted.
    pub(super) fn check(&self) -> Result<(), Failure> {
        match self.0.get() {
            None => Ok(()),
            Some(status) => Err(Failure::new(*status, "interrupted: nothing was left behind")),
        }
    }
}

/// Waits until the whole arena is populated: a half-populated one measures page faults.
fn populated_stats(address: &Address, interrupted: &Interrupted) -> Result<StatsReply, Failure> {
    let mut connection = Connection::open_within(address, ANSWER_MAX).map_err(wire::failed)?;
    let started = Instant::now();
    loop {
        interrupted.check()?;
        let stats: StatsReply = connection.json("GET", "/v1/stats").map_err(wire::failed)?;
        if stats.populated >= stats.capacity {
            return Ok(stats);
        }
        if started.elapsed() > POPULATE_MAX {
            let (populated, capacity) = (stats.populated, stats.capacity);
            return Err(Failure::new(
                Status::Unavailable,
                format!(
                    "the arena is not populated after {POPULATE_MAX:?}: give it a smaller \
                     capacity, populated=`{populated}` capacity=`{capacity}`"
                ),
            ));
        }
        thread::sleep(POLL_INTERVAL);
    }
}

/// The daemon's segment, if it is on this machine and may be read.
fn attach(address: &Address, stats: &StatsReply) -> Option<Arc<Attachment>> {
    let mut config = ClientConfig::new(address.clone());
    config.shared_memory_name = Some(stats.shared_memory_name.parse::<SegmentName>().ok()?);
    let attachment = Client::new(config).attach().ok()?;
    (attachment.capacity().bytes() == stats.capacity).then_some(attachment)
}
