//! Core of a lane, shared by its handles and guards: connections, mappings, calls.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use kvlease_attach::{IndexView, TrustedUsers};
use kvlease_types::BucketName;
use tokio::time::{Instant, timeout_at};

use super::{
    connection::Connection,
    connection_state::ConnectionState,
    error::{Fault, LaneError},
    handshake::{Greeted, greet},
    late::InCall,
    pool::{Pool, PooledConnection},
    posted::Posting,
    reads::Reads,
    session::Session,
};

/// Connections and mappings of a lane.
#[derive(Debug)]
pub(super) struct LaneCore {
    pub(super) path: PathBuf,
    pub(super) bucket: BucketName,
    pub(super) writes: bool,
    pub(super) trusted: TrustedUsers,
    pub(super) session: Session,
    pub(super) pool: Arc<Pool>,
    pub(super) broken: AtomicBool,
    pub(super) counts: Arc<LaneCounts>,
    /// The published index, if the daemon passed it.
    pub(super) index: OnceLock<IndexView>,
    /// Reads by the index, of which the daemon is to be told.
    pub(super) reads: Reads,
    /// Use of spare reservations.
    pub(super) spares: SpareUse,
    /// Connections that have posted puts. Never locked across an await.
    pub(super) posting: Mutex<Vec<Posting>>,
}

/// Use of the spare reservations of a lane's connections.
#[derive(Debug, Default)]
pub(super) struct SpareUse {
    /// Whether objects were stored since this was looked at last.
    pub(super) used: AtomicBool,
    /// Whether a task gives back those that are not used.
    pub(super) watched: AtomicBool,
}

/// How many leases came over lanes that share these counts, and how many of them have ended.
#[derive(Debug, Default)]
pub struct LaneCounts {
    /// Leases that were granted.
    pub leases: AtomicU64,
    /// Leases that have ended.
    pub ended: AtomicU64,
}

impl LaneCore {
    /// Runs a call within its time: on the connection of this state, once it is idle, or on any.
    pub(super) async fn call<T>(
        &self,
        of: Option<&Arc<ConnectionState>>,
        limit: Duration,
        call: impl AsyncFnOnce(&mut Connection) -> Result<T, Fault>,
    ) -> Result<T, LaneError> {
        let call = async {
            let mut pooled = self.pool.check_out(of).await.ok_or_else(Fault::closed)?;
            if pooled.lacks_connection() {
                self.connect(&mut pooled).await?;
            }
            let mut used = InCall::new(pooled, &self.pool, self.reads.runtime());
            call(used.connection()).await
        };
        // A limit beyond what the clock can tell is none.
        let result = match Instant::now().checked_add(limit) {
            Some(deadline) => {
                timeout_at(deadline, call).await.unwrap_or(Err(Fault::TimedOut(limit)))
            }
            None => call.await,
        };
        result.map_err(|fault| {
            if fault.ends() {
                self.broken.store(true, Ordering::Relaxed);
            }
            fault.at(&self.path)
        })
    }

    /// Makes another connection to the same incarnation.
    async fn connect(&self, pooled: &mut PooledConnection) -> Result<(), Fault> {
        let Greeted { stream, welcome, .. } = greet(&self.path, self.writes, self.trusted).await?;
        if welcome.epoch != self.session.welcome.epoch {
            return Err(Fault::Protocol("another daemon listens there by now".to_owned()));
        }
        pooled.set_connection(Connection::new(stream)?);
        Ok(())
    }
}
