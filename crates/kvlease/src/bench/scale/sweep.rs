//! A sweep under way: the points that the machine has memory for, and those that it has not.

use indicatif::ProgressBar;
use kvlease_client::{BucketName, ByteSize};

use super::super::{
    args::BenchArgs,
    plan,
    session::{Interrupted, Session},
};
use crate::failure::Failure;

/// A sweep under way.
pub(super) struct Sweep<'a> {
    pub(super) args: &'a BenchArgs,
    pub(super) bucket: BucketName,
    pub(super) interrupted: Interrupted,
    pub(super) progress: ProgressBar,
    pub(super) left_out: Vec<String>,
}

impl Sweep<'_> {
    /// A daemon with this arena and this limit of its catalog, for rows of these sizes.
    pub(super) fn session(
        &self,
        capacity: ByteSize,
        catalog: Option<ByteSize>,
        sizes: &[ByteSize],
    ) -> Result<Session, Failure> {
        let bucket = self.bucket.clone();
        let daemon = (capacity, catalog);
        Session::own(daemon, sizes, bucket, self.args.rounds, &self.interrupted)
    }

    /// Begins a step. Fails once the run was interrupted.
    pub(super) fn step(&self, what: &str) -> Result<(), Failure> {
        self.progress.inc(1);
        self.progress.set_message(what.to_owned());
        self.interrupted.check()
    }

    /// Notes that something is not measured, with the reason.
    pub(super) fn leave_out(&mut self, why: &str) {
        self.left_out.push(why.to_owned());
    }

    /// Whether the machine has this memory to spare. Notes the point if it has not.
    pub(super) fn has_memory(&mut self, needed: ByteSize, what: &str) -> Result<bool, Failure> {
        let spare = plan::spare_memory()?;
        if needed.bytes() <= spare {
            return Ok(true);
        }
        let spare = ByteSize::mib(spare >> 20);
        let needed = ByteSize::mib(needed.bytes() >> 20);
        self.leave_out(&format!("{what}, which take {needed}, with {spare} to spare"));
        Ok(false)
    }
}
