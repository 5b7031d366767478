//! The segment as a connector sees it: there, replaced, or missing for now.
//!
//! A missing segment is no failure: reads go over HTTP meanwhile. A warning says so once in a while,
//! since it costs most of the speed and is easily fixed. Programs without events of `tracing`, such
//! as Python's, take it as a notice instead.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use kvlease_attach::Attachment;
use kvlease_http::{Client, Error};
use kvlease_types::with_causes;

use super::notice::{Notice, Notices};

/// How long after a failed attempt the next one is made.
const ATTACH_INTERVAL: Duration = Duration::from_secs(1);

/// How often a missing segment is warned of.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// Attaches to the client's segment.
#[derive(Debug, Default)]
pub(super) struct Segment {
    /// Never locked across an await.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When attaching failed last, and when that was said last; `None` while it succeeds.
    failed: Option<Failed>,
    /// Notices that were not taken yet.
    notices: Notices,
}

#[derive(Clone, Copy, Debug)]
struct Failed {
    tried: Instant,
    warned: Instant,
    /// Whether a segment is there, and is another daemon's.
    is_foreign: bool,
}

impl Segment {
    /// The segment that the name means now; `None` to read over HTTP.
    pub(super) fn attach(&self, client: &Client) -> Option<Arc<Attachment>> {
        client.config().shared_memory_name.as_ref()?;
        let now = Instant::now();
        let mut state = self.lock();
        if state.failed.is_some_and(|failed| now - failed.tried < ATTACH_INTERVAL) {
            return None;
        }
        match client.attach() {
            Ok(attachment) => {
                // Whether it is the daemon's is known after the next answer.
                state.failed = state.failed.filter(|failed| failed.is_foreign);
                Some(attachment)
            }
            Err(error) => {
                state.failed(&error, now);
                None
            }
        }
    }

    /// Whether the attachment is the segment of the daemon, by its last answer. An attachment whose
    /// name is another file's by now is judged by its leases.
    pub(super) fn is_served(&self, client: &Client, attachment: &Attachment) -> bool {
        let mut state = self.lock();
        match client.ensure_announced(attachment) {
            Err(error) if !attachment.is_replaced() => {
                state.failed(&error, Instant::now());
                false
            }
            _ => {
                state.failed = None;
                true
            }
        }
    }

    /// The oldest notice that was not taken: that attaching began to fail.
    pub(super) fn take_notice(&self) -> Option<Notice> {
        self.lock().notices.take()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in the sections can panic half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Notes a failure, and warns of it if that is due.
    fn failed(&mut self, error: &Error, now: Instant) {
        let is_foreign = matches!(error, Error::OtherSegment { .. });
        let warned = match self.failed {
            Some(before) if before.is_foreign == is_foreign => {
                let is_due = now - before.warned >= WARNING_INTERVAL;
                if is_due {
                    tracing::warn!("{}", explain(error));
                }
                if is_due { now } else { before.warned }
            }
            _ => {
                self.notices.warning(explain(error));
                now
            }
        };
        self.failed = Some(Failed { tried: now, warned, is_foreign });
    }
}

fn explain(error: &Error) -> String {
    let fault = with_causes(error);
    format!("objects are read over http, which is slower, until that is fixed: {fault}")
}
