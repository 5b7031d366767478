//! Deadline of a round trip.

use std::time::Duration;

use kvlease_tier::TierError;
use tokio::time;

/// The store did not answer in time.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "no answer to {what} within {} ms: see that the store runs, and can be reached from here",
    limit.as_millis()
)]
struct LateAnswer {
    what: &'static str,
    limit: Duration,
}

/// Waits for a call no longer than `limit`.
pub(crate) async fn within<T>(
    limit: Duration,
    what: &'static str,
    call: impl Future<Output = Result<T, TierError>>,
) -> Result<T, TierError> {
    match time::timeout(limit, call).await {
        Ok(answer) => answer,
        Err(_) => Err(TierError::Unavailable(Box::new(LateAnswer { what, limit }))),
    }
}
