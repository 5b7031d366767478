//! Announcement of a daemon: the headers that each of its answers has.

use std::{path::PathBuf, str::FromStr};

use kvlease_sys::Identity;
use kvlease_types::Epoch;

/// Announcement of a daemon.
///
/// A daemon of another make announces nothing, an earlier release of kvlease its socket alone.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Announcement {
    /// Socket of its fast lane, as the daemon sees the path.
    pub socket: Option<PathBuf>,
    /// Its incarnation.
    pub epoch: Option<Epoch>,
    /// The file of its segment.
    pub segment: Option<Identity>,
}

impl Announcement {
    /// Whether nothing was announced.
    pub(crate) fn is_empty(&self) -> bool {
        self.socket.is_none() && self.epoch.is_none() && self.segment.is_none()
    }
}

/// The value of a header; `None` for what cannot be read, as if the header were not there.
pub(crate) fn parse<T: FromStr>(value: &[u8]) -> Option<T> {
    str::from_utf8(value).ok()?.parse().ok()
}
