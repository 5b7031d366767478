//! What writers and readers have in common: their arguments, the daemon, the ledger.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use kvlease_client::{
    Attachment, BucketName, Client, ClientConfig, Key, SegmentName, Timeouts,
    lane::{Found, Lane},
};
use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use tokio::runtime;

use super::{
    BUCKET,
    grant::Grant,
    ledger::{Count, Ledger},
    reader::Reader,
    versions::Versions,
    workload::Workload,
    writer::Writer,
};
use crate::Random;

/// How long a call may take before the daemon counts as stuck: long, since many processes share
/// few processors.
pub(super) const CALL_WITHIN: Duration = Duration::from_secs(60);

/// File of the versions in the soak's folder.
pub(super) const VERSIONS: &str = "versions";

/// What a client does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Role {
    /// Stores and removes the objects of its own keys.
    Writer,
    /// Reads the objects of all keys.
    Reader,
}

/// What a client is told.
#[derive(Clone, Debug, clap::Args)]
pub struct ClientArgs {
    /// Base URL of the daemon
    #[arg(long)]
    pub url: String,
    /// Name of its segment
    #[arg(long)]
    pub segment: SegmentName,
    /// Socket of its fast lane, for a client that takes it
    #[arg(long)]
    pub socket: Option<PathBuf>,
    /// Size of its arena in bytes
    #[arg(long)]
    pub capacity: u64,
    /// Longest time to live of a lease in milliseconds
    #[arg(long)]
    pub ttl_max_ms: u64,
    /// The soak's folder
    #[arg(long)]
    pub folder: PathBuf,
    /// The ledger in it
    #[arg(long)]
    pub ledger: String,
    /// The soak's seed
    #[arg(long)]
    pub seed: u64,
    /// Number of this process among all that the soak starts
    #[arg(long)]
    pub party: u64,
    /// Number of the writer among the writers
    #[arg(long, default_value_t = 0)]
    pub place: usize,
    /// How many writers there are
    #[arg(long, default_value_t = 1)]
    pub writers: usize,
}

/// What every client has.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) client: Client,
    /// The fast lane, for a client that takes it.
    pub(super) lane: Option<Lane>,
    pub(super) workload: Workload,
    pub(super) versions: Versions,
    pub(super) ledger: Ledger,
    pub(super) random: Random,
}

/// Runs a client until it is killed, at the latest with its supervisor.
pub(super) fn run(role: Role, args: &ClientArgs) -> anyhow::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid().is_none_or(|parent| parent.is_init()) {
        bail!("the supervisor has gone");
    }
    let mut config = ClientConfig::new(args.url.parse()?);
    config.bucket = BucketName::new(BUCKET)?;
    config.shared_memory_name = Some(args.segment.clone());
    config.timeouts = Timeouts { connect: CALL_WITHIN, call: CALL_WITHIN, transfer: CALL_WITHIN };
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let lane = args.socket.as_deref().map(|socket| {
        let open = Lane::open(socket, config.bucket.clone(), true, 1, CALL_WITHIN);
        runtime.block_on(open).context("the fast lane")
    });
    let session = Session {
        client: Client::new(config),
        lane: lane.transpose()?,
        workload: Workload::new(args.seed, args.capacity),
        versions: Versions::open(&args.folder.join(VERSIONS)).context("the versions")?,
        ledger: Ledger::open(&args.folder.join(&args.ledger)).context("the ledger")?,
        random: Random::of(args.seed, args.party),
    };
    runtime.block_on(async {
        match role {
            Role::Writer => Writer::new(session, args.place, args.writers).run().await,
            Role::Reader => {
                Reader::new(session, Duration::from_millis(args.ttl_max_ms)).run().await
            }
        }
    })
}

impl Session {
    pub(super) fn key(&self, index: usize) -> Key {
        Key::new(self.workload.key(index)).expect("keys of the workload are valid names")
    }

    /// Leases objects for `ttl`; `None` for each that cannot be had.
    pub(super) async fn lease(
        &self,
        keys: &[Key],
        wait: Duration,
        ttl: Duration,
    ) -> anyhow::Result<Vec<Option<Grant>>> {
        if let Some(lane) = &self.lane {
            let found = lane.acquire(keys, false, wait, ttl, CALL_WITHIN).await?;
            let grant = |found| match found {
                Found::Leased(lease) => Some(Grant::Lane(lease)),
                Found::Absent | Found::Full => None,
            };
            return Ok(found.into_iter().map(grant).collect());
        }
        let mut grants = Vec::with_capacity(keys.len());
        for key in keys {
            grants.push(self.client.lease(key, wait, ttl).await?.map(Grant::Http));
        }
        Ok(grants)
    }

    /// The mapping that a lease is about.
    pub(super) fn attachment(&self, grant: &Grant) -> anyhow::Result<Arc<Attachment>> {
        match (grant, &self.lane) {
            (Grant::Lane(_), Some(lane)) => Ok(Arc::clone(lane.attachment())),
            _ => Ok(self.client.attach()?),
        }
    }

    /// Counts a failure that no client should see, and says what it was.
    pub(super) fn failed(&mut self, doing: &str, error: &(impl fmt::Display + fmt::Debug)) {
        self.ledger.add(Count::Errors, 1);
        eprintln!("soak client: {doing} failed, error=`{error}` cause=`{error:?}`");
    }
}
