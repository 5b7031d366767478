//! External memory of calls: when its caller may use it again.

use std::{sync::Arc, time::Duration};

use kvlease_sys::KeepAlive;
use tokio::time::{Instant, sleep};

/// Limit of a call's wait for its buffers after its end: a connection that is being shut may still
/// use them.
const RETURN_WAIT: Duration = Duration::from_secs(5);

/// Time between two looks at the buffers.
const POLL: Duration = Duration::from_millis(1);

/// Waits until nothing but these values keeps the buffers: the caller may write to them as soon as
/// it has the result, and bytes that are still being sent must not change.
pub(crate) async fn returned(owners: &[KeepAlive]) {
    let deadline = Instant::now() + RETURN_WAIT;
    while owners.iter().any(|owner| Arc::strong_count(owner) > 1) && Instant::now() < deadline {
        sleep(POLL).await;
    }
}
