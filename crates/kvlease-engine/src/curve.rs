//! Live curve, behind a lock of its own.

use std::sync::{Mutex, MutexGuard};

use kvlease_cache::{CurveConfig, CurveStats, LiveCurve};

/// The curve, if there is one.
#[derive(Debug)]
pub(crate) struct Curve(Mutex<LiveCurve>);

impl Curve {
    pub(crate) fn new(config: &CurveConfig) -> Self {
        Self(Mutex::new(LiveCurve::new(config)))
    }

    pub(crate) fn hash_max(&self) -> u64 {
        self.lock().hash_max()
    }

    pub(crate) fn stats(&self) -> CurveStats {
        self.lock().stats()
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, LiveCurve> {
        self.0.lock().expect("a panic ends the process")
    }
}
