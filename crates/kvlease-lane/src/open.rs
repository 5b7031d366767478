//! Opening of a lane.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, OnceLock, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use kvlease_attach::{Attachment, TrustedUsers};
use kvlease_types::{BucketName, ByteSize, Epoch};
use tokio::{
    runtime::Handle,
    time::{Instant, timeout_at},
};

use super::{
    connection::Connection,
    error::{Fault, LaneError},
    handshake::{Greeted, greet},
    lane_core::{LaneCore, LaneCounts, SpareUse},
    pool::Pool,
    reads::Reads,
    session::Session,
};

/// The most connections of a lane: more calls at a time than any machine has cores for wait.
pub const LANE_CONNECTIONS_MAX: usize = 32;

/// A daemon's fast lane, open. Clones share everything.
#[derive(Clone, Debug)]
pub struct Lane {
    pub(super) core: Arc<LaneCore>,
}

/// A lane, if something else keeps it.
#[derive(Clone, Debug)]
pub struct WeakLane(Weak<LaneCore>);

impl WeakLane {
    /// The lane; `None` if it is gone, with its connections.
    pub fn upgrade(&self) -> Option<Lane> {
        Some(Lane { core: self.0.upgrade()? })
    }

    /// Whether it is this lane.
    pub fn is(&self, lane: &Lane) -> bool {
        std::ptr::eq(self.0.as_ptr(), Arc::as_ptr(&lane.core))
    }
}

impl Lane {
    /// Opens the lane at a daemon's socket, for objects of one bucket. The process that listens has to
    /// belong to a user of `trusted`. `writes` asks for leave to write into the arena, which the
    /// daemon may not give.
    ///
    /// # Errors
    ///
    /// Any [`LaneError`], within `limit`.
    pub async fn open(
        path: &Path,
        bucket: BucketName,
        writes: bool,
        trusted: TrustedUsers,
        connections_max: usize,
        limit: Duration,
    ) -> Result<Self, LaneError> {
        let counts = Arc::default();
        Self::open_counted(path, bucket, writes, trusted, connections_max, limit, counts).await
    }

    /// The same with counts that other lanes may share.
    ///
    /// # Errors
    ///
    /// Those of [`Self::open`].
    pub async fn open_counted(
        path: &Path,
        bucket: BucketName,
        writes: bool,
        trusted: TrustedUsers,
        connections_max: usize,
        limit: Duration,
        counts: Arc<LaneCounts>,
    ) -> Result<Self, LaneError> {
        let open = async {
            let Greeted { stream, welcome, arena, generations } =
                greet(path, writes, trusted).await?;
            let session = Session::map(welcome, arena, generations)?;
            Ok((Connection::new(stream)?, session))
        };
        let opened = timeout_at(Instant::now() + limit, open).await;
        let opened = opened.unwrap_or(Err(Fault::TimedOut(limit)));
        let (connection, session) = opened.map_err(|fault: Fault| fault.at(path))?;
        let permits = connections_max.clamp(1, LANE_CONNECTIONS_MAX);
        let core = LaneCore {
            path: path.to_owned(),
            bucket,
            writes,
            trusted,
            session,
            pool: Arc::new(Pool::new(permits, connection)),
            broken: AtomicBool::new(false),
            counts,
            index: OnceLock::new(),
            reads: Reads::new(Handle::current()),
            spares: SpareUse::default(),
            posting: Mutex::default(),
        };
        Ok(Self { core: Arc::new(core) })
    }

    /// A reference that does not keep the lane.
    pub fn downgrade(&self) -> WeakLane {
        WeakLane(Arc::downgrade(&self.core))
    }

    /// The socket.
    pub fn path(&self) -> &Path {
        &self.core.path
    }

    /// The incarnation of the daemon.
    pub fn epoch(&self) -> Epoch {
        self.core.session.welcome.epoch
    }

    /// The largest object that the daemon takes.
    pub fn object_len_max(&self) -> ByteSize {
        self.core.session.welcome.object_len_max
    }

    /// Whether objects can be written into the arena.
    pub fn is_writable(&self) -> bool {
        self.core.session.writable().is_some()
    }

    /// The daemon's arena.
    pub fn attachment(&self) -> &Arc<Attachment> {
        self.core.session.attachment()
    }

    /// Whether the lane is of no more use: the socket broke, since the daemon has ended or is another
    /// one by now, or the arena was truncated under the mapping.
    pub fn is_broken(&self) -> bool {
        self.core.broken.load(Ordering::Relaxed) || self.attachment().is_lost()
    }

    /// Sends the releases that wait for others to go with them, on connections that are idle.
    pub fn flush(&self) {
        self.core.pool.flush_all();
    }
}
