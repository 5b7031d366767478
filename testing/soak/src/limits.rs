//! Limits that several programs share.

use std::time::Duration;

/// Limit of a call before the daemon counts as stuck: long, since many processes share few
/// processors.
pub(crate) const CALL_WITHIN: Duration = Duration::from_secs(60);
