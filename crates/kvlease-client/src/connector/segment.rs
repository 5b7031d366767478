//! The segment as a connector sees it: there, replaced, or missing for now.
//!
//! A missing segment is no failure: reads go over HTTP meanwhile. That it is missing is said once
//! in a while, since it costs most of the speed and is easily mended.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use kvlease_shm::Attachment;

use crate::Client;

/// How long after a failed attempt the next one is made.
const ATTACH_INTERVAL: Duration = Duration::from_secs(1);

/// How often a missing segment is warned of.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// Attaches to the client's segment.
#[derive(Debug, Default)]
pub(super) struct Segment {
    /// When attaching failed last, and when that was said last. Never locked across an await.
    failed: Mutex<Option<Failed>>,
}

#[derive(Clone, Copy, Debug)]
struct Failed {
    tried: Instant,
    warned: Instant,
}

impl Segment {
    /// The segment that the name means now; `None` to read over HTTP.
    pub(super) fn attach(&self, client: &Client) -> Option<Arc<Attachment>> {
        client.config().shared_memory_name.as_ref()?;
        let now = Instant::now();
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if failed.is_some_and(|failed| now - failed.tried < ATTACH_INTERVAL) {
            return None;
        }
        match client.attach() {
            Ok(attachment) => {
                *failed = None;
                Some(attachment)
            }
            Err(error) => {
                let due = |failed: &Failed| now - failed.warned >= WARNING_INTERVAL;
                let warned = match *failed {
                    Some(before) if !due(&before) => before.warned,
                    _ => {
                        tracing::warn!("reading over http until it can: {error}");
                        now
                    }
                };
                *failed = Some(Failed { tried: now, warned });
                None
            }
        }
    }
}
