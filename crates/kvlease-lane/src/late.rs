//! Late answers: those to calls that were given up. A task takes each of them when it has come, so that
//! what it granted ends then, and not with the next call.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{runtime::Handle, time::sleep};

use super::{
    connection::Connection,
    connection_state::ConnectionState,
    pool::{Pool, PooledConnection},
};

/// Time between two looks for late answers: it begins with the first, and doubles up to the most.
const LOOK_FIRST: Duration = Duration::from_millis(1);
const LOOK_MAX: Duration = Duration::from_millis(64);

/// Connection in the hands of a call. If the call is given up, its answer will be taken.
pub(super) struct InCall<'a> {
    pooled: PooledConnection,
    pool: &'a Arc<Pool>,
    runtime: &'a Handle,
}

impl<'a> InCall<'a> {
    /// A connection that was made; the task is to run on this runtime.
    pub(super) fn new(pooled: PooledConnection, pool: &'a Arc<Pool>, runtime: &'a Handle) -> Self {
        Self { pooled, pool, runtime }
    }

    pub(super) fn connection(&mut self) -> &mut Connection {
        self.pooled.connection()
    }
}

impl Drop for InCall<'_> {
    fn drop(&mut self) {
        let connection = self.pooled.connection();
        if connection.begins_late() {
            let of = Arc::clone(&connection.state);
            self.runtime.spawn(take_late(Arc::downgrade(self.pool), of));
        }
    }
}

/// Takes the late answers of a connection, as they come.
async fn take_late(pool: Weak<Pool>, of: Arc<ConnectionState>) {
    let mut pause = LOOK_FIRST;
    loop {
        sleep(pause).await;
        let Some(pool) = pool.upgrade() else { return };
        if !pool.take_late(&of) {
            return;
        }
        pause = LOOK_MAX.min(2 * pause);
    }
}
