//! Circles that are allowed, each with its reason.

use super::graph::Component;

/// Files that may be in one circle with each other.
pub(super) struct Exception {
    pub(super) files: &'static [&'static str],
    pub(super) reason: &'static str,
}

impl Exception {
    pub(super) fn covers(&self, circle: &Component) -> bool {
        circle.iter().all(|file| self.files.contains(&file.as_str()))
    }
}

/// All of them. One that covers no circle is a complaint.
pub(super) const ALL: &[Exception] = &[];
