//! Limits of the process, looked at and set before a start: where the runtime would panic, one line says
//! which limit is too low.

use std::{env, fs::File, io, sync::Mutex, thread};

use kvlease_sys::bound_heaps;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that a start opens at the same time, and some for the first connections.
const DESCRIPTORS_MIN: usize = 32;

/// Opens as many descriptors as a start needs, and closes them.
pub(crate) fn try_descriptors() -> io::Result<()> {
    let first = File::open("/dev/null")?;
    let opened: io::Result<Vec<_>> = (1..DESCRIPTORS_MIN).map(|_| first.try_clone()).collect();
    opened.map(drop)
}

/// Starts `count` threads at a time, and ends them: the runtime panics where the system refuses one
/// of its workers.
pub(crate) fn try_threads(count: usize) -> io::Result<()> {
    let gate = Mutex::new(());
    thread::scope(|scope| {
        let closed = gate.lock();
        let wait = || drop(gate.lock());
        let threads: io::Result<Vec<_>> =
            (0..count).map(|_| thread::Builder::new().spawn_scoped(scope, wait)).collect();
        drop(closed);
        // A scope ends before the system has taken the stacks back; a join does not.
        for thread in threads? {
            thread.join().expect("a thread that takes a lock and drops it does not panic");
        }
        Ok(())
    })
}

/// Gives each worker of the runtime a heap, and all other threads one that they share: free memory in the
/// heaps of threads that come and go is in no budget. What the operator has set for the allocator stays.
pub(crate) fn limit_heaps(workers: usize) {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    if !["MALLOC_ARENA_MAX", "GLIBC_TUNABLES"].into_iter().any(is_set) {
        bound_heaps(workers + 1);
    }
}

/// Raises the soft limit of descriptors: thousands of connections need more than the usual one.
pub(crate) fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if setrlimit(Resource::Nofile, raised).is_err() {
        tracing::warn!(soft = ?limit.current, hard = ?limit.maximum, "cannot raise the limit of open files");
    }
}
