//! Signals that end a command before its time.

use std::{io, thread};

use kvlease_server::{StopSignal, StopSignals};
use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
};

use crate::failure::{Failure, Status};

/// Calls `act` with the exit status once a signal asks the command to end, on a thread of its own:
/// the command may be waiting for a reader or for a disk.
pub(crate) fn on_signal(act: impl FnOnce(Status) + Send + 'static) -> Result<(), Failure> {
    let failed = |error: io::Error| {
        Failure::new(Status::Io, format!("cannot watch for signals: free some memory, {error}"))
    };
    let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let guard = runtime.enter();
    let mut signals = StopSignals::listen().map_err(failed)?;
    // A daemon leaves a core when it is told to quit. A command leaves nothing.
    let mut quit = signal(SignalKind::quit()).map_err(failed)?;
    drop(guard);
    let watch = move || {
        act(runtime.block_on(async {
            tokio::select! {
                _ = quit.recv() => Status::Quit,
                stop = signals.next() => match stop {
                    StopSignal::Hangup => Status::HungUp,
                    StopSignal::Interrupt => Status::Interrupted,
                    StopSignal::Terminate => Status::Terminated,
                },
            }
        }));
    };
    thread::Builder::new().spawn(watch).map(drop).map_err(failed)
}
