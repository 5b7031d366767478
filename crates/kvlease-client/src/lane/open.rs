//! How a lane and its connections are opened, and what a call on one of them is.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use kvlease_attach::Attachment;
use kvlease_types::{BucketName, ByteSize, Epoch};
use tokio::time::{Instant, timeout_at};

use super::{
    connection::Connection,
    error::{Fault, LaneError},
    handshake::{Greeted, greet},
    link::Link,
    session::Session,
    turns::{Busy, Turns},
};

/// The most connections of a lane: more calls at a time than any machine has cores for wait.
pub const LANE_CONNECTIONS_MAX: usize = 32;

/// A daemon's fast lane, open. Clones share everything.
#[derive(Clone, Debug)]
pub struct Lane {
    pub(super) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    path: PathBuf,
    pub(super) bucket: BucketName,
    writes: bool,
    pub(super) session: Arc<Session>,
    pub(super) turns: Arc<Turns>,
    broken: AtomicBool,
    pub(super) counts: Arc<LaneCounts>,
}

/// How many leases came over lanes that share these counts, and how many of them have ended.
#[derive(Debug, Default)]
pub(crate) struct LaneCounts {
    pub(crate) leases: AtomicU64,
    pub(crate) ended: AtomicU64,
}

impl Lane {
    /// Opens the lane at a daemon's socket, for objects of one bucket. `writes` asks for leave to
    /// write into the arena, which the daemon may not give.
    ///
    /// # Errors
    ///
    /// Any [`LaneError`], within `limit`.
    pub async fn open(
        path: &Path,
        bucket: BucketName,
        writes: bool,
        connections_max: usize,
        limit: Duration,
    ) -> Result<Self, LaneError> {
        Self::open_counted(path, bucket, writes, connections_max, limit, Arc::default()).await
    }

    /// The same with counts that other lanes may have a part in.
    pub(crate) async fn open_counted(
        path: &Path,
        bucket: BucketName,
        writes: bool,
        connections_max: usize,
        limit: Duration,
        counts: Arc<LaneCounts>,
    ) -> Result<Self, LaneError> {
        let open = async {
            let Greeted { stream, welcome, arena, generations } = greet(path, writes).await?;
            let session = Arc::new(Session::map(welcome, arena, generations)?);
            Ok((Connection::new(stream)?, session))
        };
        let opened = timeout_at(Instant::now() + limit, open).await;
        let opened = opened.unwrap_or(Err(Fault::TimedOut(limit)));
        let (connection, session) = opened.map_err(|fault: Fault| fault.at(path))?;
        let turns = connections_max.clamp(1, LANE_CONNECTIONS_MAX);
        let shared = Shared {
            path: path.to_owned(),
            bucket,
            writes,
            session,
            turns: Arc::new(Turns::new(turns, connection)),
            broken: AtomicBool::new(false),
            counts,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The socket.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// The incarnation of the daemon.
    pub fn epoch(&self) -> Epoch {
        self.shared.session.welcome.epoch
    }

    /// The largest object that the daemon takes.
    pub fn object_len_max(&self) -> ByteSize {
        self.shared.session.welcome.object_len_max
    }

    /// Whether objects can be written into the arena.
    pub fn is_writable(&self) -> bool {
        self.shared.session.writable().is_some()
    }

    /// The daemon's arena.
    pub fn attachment(&self) -> &Arc<Attachment> {
        self.shared.session.attachment()
    }

    /// Whether the socket broke: the daemon has ended or is another one by now.
    pub fn is_broken(&self) -> bool {
        self.shared.broken.load(Ordering::Relaxed)
    }

    /// Tells the daemon now which leases have ended, as far as their connections are idle.
    pub fn flush(&self) {
        self.shared.turns.flush_all();
    }

    /// Runs a call on a connection, within its time.
    pub(super) async fn call<T>(
        &self,
        limit: Duration,
        call: impl AsyncFnOnce(&mut Busy) -> Result<T, Fault>,
    ) -> Result<T, LaneError> {
        let call = async {
            let mut busy = self.shared.busy().await?;
            call(&mut busy).await
        };
        self.within(limit, call).await
    }

    /// Runs a call on this connection, once it is idle.
    pub(super) async fn call_on<T>(
        &self,
        link: &Arc<Link>,
        limit: Duration,
        call: impl AsyncFnOnce(&mut Busy) -> Result<T, Fault>,
    ) -> Result<T, LaneError> {
        let call = async {
            let mut busy = self.shared.turns.on(link).await.ok_or_else(Fault::closed)?;
            call(&mut busy).await
        };
        self.within(limit, call).await
    }

    async fn within<T>(
        &self,
        limit: Duration,
        call: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, LaneError> {
        let deadline = Instant::now().checked_add(limit);
        let result = match deadline {
            Some(deadline) => {
                timeout_at(deadline, call).await.unwrap_or(Err(Fault::TimedOut(limit)))
            }
            None => call.await,
        };
        result.map_err(|fault| {
            if fault.ends() {
                self.shared.broken.store(true, Ordering::Relaxed);
            }
            fault.at(&self.shared.path)
        })
    }
}

impl Shared {
    async fn busy(&self) -> Result<Busy, Fault> {
        let mut busy = self.turns.any().await;
        if busy.lacks_connection() {
            busy.set_connection(self.connect().await?);
        }
        Ok(busy)
    }

    /// Another connection to the same incarnation.
    async fn connect(&self) -> Result<Connection, Fault> {
        let Greeted { stream, welcome, .. } = greet(&self.path, self.writes).await?;
        if welcome.epoch != self.session.welcome.epoch {
            return Err(Fault::Protocol("another daemon listens there by now".to_owned()));
        }
        Ok(Connection::new(stream)?)
    }
}
