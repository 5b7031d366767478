//! State that every client of a soak has.

use std::fmt;

use kvlease_harness::oracle::OracleFile;
use kvlease_testing::Draws;
use kvlease_types::Key;

use super::progress::ProgressFile;
use crate::{
    clients::{Clients, Way},
    counts::Count,
    workload::Workload,
};

/// Bucket of all objects of a soak.
pub(super) const BUCKET: &str = "soak";

/// Name of the oracle's file in the soak's folder.
pub(super) const ORACLE: &str = "oracle";

/// State that every client has.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) clients: Clients,
    /// Way of its leases, stores and removals.
    pub(super) way: Way,
    pub(super) workload: Workload,
    pub(super) oracle: OracleFile,
    pub(super) progress: ProgressFile,
    pub(super) draws: Draws,
}

impl Session {
    pub(super) fn key(&self, index: usize) -> Key {
        Key::new(self.workload.key(index)).expect("keys of the workload are valid names")
    }

    /// Counts a failure that no client should see, and prints it.
    pub(super) fn failed(&mut self, doing: &str, error: &(impl fmt::Display + fmt::Debug)) {
        self.progress.add(Count::Errors, 1);
        eprintln!("soak client: {doing} failed, error=`{error}` cause=`{error:?}`");
    }
}
