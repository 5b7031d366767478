//! The time that leases, reservations and quarantines are counted in.

use kvlease_types::Timestamp;

/// Now, on the clock that the daemon shares with its clients and with its next incarnation.
#[cfg(not(test))]
pub(crate) fn now() -> Timestamp {
    kvlease_sys::boot_time()
}

/// Now, by the thread's own clock if it has one.
#[cfg(test)]
pub(crate) fn now() -> Timestamp {
    virtual_clock::now().unwrap_or_else(kvlease_sys::boot_time)
}

/// Clock that tests move.
#[cfg(test)]
pub(crate) mod virtual_clock {
    use std::{cell::Cell, time::Duration};

    use kvlease_types::Timestamp;

    thread_local! {
        static NOW: Cell<Option<Timestamp>> = const { Cell::new(None) };
    }

    pub(super) fn now() -> Option<Timestamp> {
        NOW.get()
    }

    /// Gives this thread a clock of its own.
    pub(crate) fn start(at: Timestamp) {
        NOW.set(Some(at));
    }

    /// Lets time pass on this thread's clock.
    pub(crate) fn pass(span: Duration) {
        NOW.set(NOW.get().map(|now| now.after(span)));
    }
}
