//! Turn of one connection: it waits for it from its wake-up on, and has it until its task was polled.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Wake, Waker},
};

use kvlease_types::TenantId;

use super::{connection_tenant::ConnectionTenant, scheduler::TenantScheduler, turn_queue::Waiting};

/// See the module. It is what wakes a connection: the runtime hears of it when the turn has come.
pub(super) struct Turn {
    scheduler: Arc<TenantScheduler>,
    tenant: ConnectionTenant,
    state: Mutex<State>,
}

struct State {
    progress: Progress,
    /// Wakes the task in the runtime.
    task: Waker,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Progress {
    /// Nothing has woken the connection.
    Idle,
    /// It waits in the queue of this tenant.
    Waiting(TenantId),
    /// It has a turn of this tenant, and is about to be polled.
    Granted(TenantId),
    /// It is being polled, in a turn of this tenant, or of none before its first request.
    Polled { of: Option<TenantId>, is_woken: bool },
    /// It is over.
    Ended,
}

impl Turn {
    pub(super) fn new(scheduler: Arc<TenantScheduler>, tenant: ConnectionTenant) -> Arc<Self> {
        let state = State { progress: Progress::Idle, task: Waker::noop().clone() };
        Arc::new(Self { scheduler, tenant, state: Mutex::new(state) })
    }

    /// Begins a poll of the connection. `false` if it has to wait for its turn, in which `task` is woken.
    pub(super) fn begin(self: &Arc<Self>, task: &Waker) -> bool {
        let mut state = self.state();
        state.task.clone_from(task);
        let of = match state.progress {
            Progress::Granted(tenant) => Some(tenant),
            Progress::Idle if self.tenant.get().is_none() => None,
            Progress::Idle => {
                self.ask(state);
                return false;
            }
            _ => return false,
        };
        state.progress = Progress::Polled { of, is_woken: false };
        true
    }

    /// Ends the poll of a connection, which goes on later.
    pub(super) fn end(self: &Arc<Self>) {
        let Progress::Polled { of, is_woken } = self.set(Progress::Idle) else { return };
        // The others that wait come first.
        self.leave(of);
        if is_woken {
            self.wake_by_ref();
        }
    }

    /// Ends the connection, wherever it is.
    pub(super) fn give_up(&self) {
        match self.set(Progress::Ended) {
            Progress::Waiting(tenant) => self.scheduler.give_up(tenant, self),
            Progress::Granted(tenant) => self.leave(Some(tenant)),
            Progress::Polled { of, .. } => self.leave(of),
            Progress::Idle | Progress::Ended => {}
        }
    }

    /// Waits for a turn of the latest tenant; without one it needs none.
    fn ask(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        let Some(tenant) = self.tenant.get() else {
            let task = state.task.clone();
            drop(state);
            return task.wake();
        };
        state.progress = Progress::Waiting(tenant);
        drop(state);
        self.scheduler.ask(tenant, self.clone());
    }

    fn leave(&self, tenant: Option<TenantId>) {
        if let Some(tenant) = tenant {
            self.scheduler.leave(tenant);
        }
    }

    fn set(&self, progress: Progress) -> Progress {
        mem::replace(&mut self.state().progress, progress)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting for Turn {
    fn grant(&self) -> bool {
        let mut state = self.state();
        let Progress::Waiting(tenant) = state.progress else { return false };
        state.progress = Progress::Granted(tenant);
        let task = state.task.clone();
        drop(state);
        task.wake();
        true
    }
}

impl Wake for Turn {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut state = self.state();
        match &mut state.progress {
            Progress::Idle => self.ask(state),
            Progress::Polled { is_woken, .. } => *is_woken = true,
            Progress::Waiting(_) | Progress::Granted(_) | Progress::Ended => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    use kvlease_testing::Draws;

    use super::*;

    const THREADS: usize = 2;

    /// The runtime's knowledge of a task: whether it is to be polled.
    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Relaxed);
        }
    }

    /// A connection of a test.
    struct Connection {
        turn: Arc<Turn>,
        woken: Arc<Woken>,
        is_polled: bool,
        /// True if something has happened since it was polled last.
        has_news: bool,
    }

    impl Connection {
        fn new(scheduler: &Arc<TenantScheduler>, tenant: ConnectionTenant) -> Self {
            let (turn, woken) = (Turn::new(Arc::clone(scheduler), tenant), Arc::default());
            let mut new = Self { turn, woken, is_polled: false, has_news: true };
            // The runtime polls every task once.
            new.polled();
            new
        }

        fn is_woken(&self) -> bool {
            self.woken.0.load(Relaxed)
        }

        fn polled(&mut self) {
            self.woken.0.store(false, Relaxed);
            self.is_polled = self.turn.begin(&Waker::from(Arc::clone(&self.woken)));
            self.has_news &= !self.is_polled;
        }

        fn ends_poll(&mut self) {
            self.is_polled = false;
            self.turn.end();
        }

        fn hears(&mut self) {
            self.has_news = true;
            Waker::from(Arc::clone(&self.turn)).wake();
        }
    }

    fn of(place: usize) -> ConnectionTenant {
        ConnectionTenant::of(TenantId::at(place).unwrap())
    }

    fn scheduler() -> Arc<TenantScheduler> {
        Arc::new(TenantScheduler::of_threads(2, THREADS))
    }

    #[test]
    fn those_that_wait_have_their_turns_in_order_and_sleep_until_then() {
        let scheduler = scheduler();
        let mut all: Vec<_> = (0..5).map(|_| Connection::new(&scheduler, of(0))).collect();
        let woken = |all: &[Connection]| all.iter().map(Connection::is_woken).collect::<Vec<_>>();
        assert_eq!(woken(&all), [true, true, false, false, false]);
        all[..2].iter_mut().for_each(Connection::polled);
        assert!(all[0].is_polled && all[1].is_polled);
        // None of these is for the runtime: the poll goes on, and the others wait.
        (0..5).for_each(|at| all[at].hears());
        all[3].polled();
        assert!(woken(&all).iter().all(|woken| !woken) && !all[3].is_polled);
        all[1].ends_poll();
        assert_eq!(woken(&all), [false, false, true, false, false]);
        all[2].polled();
        all[2].ends_poll();
        all[0].ends_poll();
        assert_eq!(woken(&all), [false, false, false, true, true]);
        // Those that heard something while they were polled come behind all that wait.
        all[3..].iter_mut().for_each(Connection::polled);
        all[3..].iter_mut().for_each(Connection::ends_poll);
        assert_eq!(woken(&all), [true, true, false, false, false]);
    }

    #[test]
    fn a_connection_without_a_request_needs_no_turn() {
        let (scheduler, tenant) = (scheduler(), ConnectionTenant::default());
        let mut busy = [(); THREADS].map(|()| Connection::new(&scheduler, of(0)));
        busy.iter_mut().for_each(Connection::polled);
        let mut new = Connection::new(&scheduler, tenant.clone());
        assert!(new.is_polled);
        new.hears();
        assert!(!new.is_woken());
        new.ends_poll();
        assert!(new.is_woken(), "it heard something meanwhile");
        new.polled();
        tenant.tell(TenantId::at(0).unwrap());
        new.ends_poll();
        new.hears();
        assert!(!new.is_woken(), "it waits for those of its tenant");
        busy[0].ends_poll();
        assert!(new.is_woken());
    }

    /// Random acts of connections: each one that has heard something is polled in the end.
    #[test]
    fn no_wake_up_is_lost() {
        for seed in 1..=200 {
            let mut draws = Draws::new(seed);
            let threads = 1 + draws.index(4);
            let scheduler = Arc::new(TenantScheduler::of_threads(2, threads));
            let mut all: Vec<Connection> = Vec::new();
            let mut waited = 0;
            for _ in 0..300 {
                let at = draws.index(all.len().max(1));
                match draws.below(10) {
                    0..=2 => all.push(Connection::new(&scheduler, of(0))),
                    _ if all.is_empty() => {}
                    3..=4 => all[at].hears(),
                    5..=6 if all[at].is_polled => all[at].ends_poll(),
                    7 => all.swap_remove(at).turn.give_up(),
                    // The runtime may also poll a task that nothing has woken.
                    _ if all[at].is_polled => {}
                    _ if all[at].is_woken() || draws.below(4) == 0 => all[at].polled(),
                    _ => {}
                }
                let taken = all.iter().filter(|one| one.is_polled || one.is_woken()).count();
                assert!(taken <= threads, "seed {seed}");
                waited += all.iter().filter(|one| one.has_news).count();
            }
            assert!(waited > 100, "{waited}");
            while let Some(next) = all.iter_mut().find(|one| one.is_polled || one.is_woken()) {
                if !next.is_polled {
                    next.polled();
                }
                next.ends_poll();
            }
            assert!(all.iter().all(|one| !one.has_news), "seed {seed}");
            let free =
                all.into_iter().map(|one| Arc::clone(&one.turn)).inspect(|turn| turn.give_up());
            assert_eq!(free.filter(|turn| Arc::strong_count(turn) > 2).count(), 0, "none waits");
        }
    }
}
