//! Stops of processes by `SIGSTOP`.

use std::process::Child;

use anyhow::Context;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::wait::{SOON, until};

/// Stops a process, and waits until all of its threads have stopped: after the signal alone, a
/// thread may go on for a moment, and answer.
pub(crate) fn stop(process: &Child) -> anyhow::Result<()> {
    let pid = Pid::from_child(process);
    kill_process(pid, Signal::STOP)?;
    // It reports stops alone: an end is left for the process's own status.
    let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG;
    let stopped = until(SOON, || waitid(WaitId::Pid(pid), options).transpose());
    stopped.context("the process does not stop")??;
    Ok(())
}

/// Lets a stopped process go on by `SIGCONT`.
pub(crate) fn resume(process: &Child) -> anyhow::Result<()> {
    Ok(kill_process(Pid::from_child(process), Signal::CONT)?)
}
