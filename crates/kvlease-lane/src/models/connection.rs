//! Stand-in for a connection: its state is real, its daemon takes all that is sent.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::connection_state::ConnectionState;

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) state: Arc<ConnectionState>,
    /// How many connections there are.
    open: Arc<AtomicUsize>,
    torn: bool,
    /// The daemon has closed it, which is found when something is sent.
    deaf: bool,
}

impl Connection {
    pub(super) fn new(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self {
            state: Arc::new(ConnectionState::new()),
            open: Arc::clone(open),
            torn: false,
            deaf: false,
        }
    }

    /// One whose daemon is gone.
    pub(super) fn deaf(open: &Arc<AtomicUsize>) -> Self {
        let mut connection = Self::new(open);
        connection.deaf = true;
        connection
    }

    /// A call, which sends ended leases first.
    pub(super) fn call(&mut self) {
        self.state.write_ended(&mut Vec::new());
    }

    /// A call that is given up half way.
    pub(super) fn tear(&mut self) {
        self.torn = true;
    }

    pub(super) fn is_usable(&self) -> bool {
        !self.torn
    }

    /// No call's answer is to come when the call is over.
    pub(super) fn awaits_late(&mut self) -> bool {
        false
    }

    pub(super) fn flush(&mut self) -> bool {
        self.state.write_ended(&mut Vec::new());
        self.torn |= self.deaf;
        !self.torn
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        self.state.close();
    }
}
