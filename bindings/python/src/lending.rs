//! Buffers that are lent: when they may be used for something else.

use std::{sync::Arc, time::Duration};

use kvlease_sys::KeepAlive;
use tokio::time::{Instant, sleep};

/// How long a call that has ended waits for its buffers, which a connection that is being shut may
/// still hold.
const RETURN_WAIT: Duration = Duration::from_secs(5);

/// Between two looks at what is waited for.
const POLL: Duration = Duration::from_millis(1);

/// Waits until nothing but these values keeps the buffers: whoever gets the result of the call may
/// write to them at once, and what is still being sent must not change.
pub(crate) async fn returned(owners: &[KeepAlive]) {
    let deadline = Instant::now() + RETURN_WAIT;
    while owners.iter().any(|owner| Arc::strong_count(owner) > 1) && Instant::now() < deadline {
        sleep(POLL).await;
    }
}
