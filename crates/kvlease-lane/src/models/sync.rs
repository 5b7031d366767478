//! Locks, signals and timers of the checker.

pub(super) use kvlease_testing::model::{Handle, Notify, oneshot};
pub(super) use loom::sync::{Mutex, MutexGuard};

/// Time in which nothing becomes due by itself.
pub(super) async fn sleep_until(_: tokio::time::Instant) {
    std::future::pending().await
}
