//! `SIGINT` and `SIGTERM`, so that an interrupted soak takes its daemon and its segment with it.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
};

use anyhow::ensure;
use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
};

/// Whether this process was told to stop.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From here on the signals no longer end the process.
    pub(crate) fn listen() -> io::Result<Self> {
        let told = Arc::new(AtomicBool::new(false));
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (mut interrupt, mut terminate) = {
            let _inside = runtime.enter();
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
        };
        let tell = Arc::clone(&told);
        // Nobody waits for the thread: it ends with the process.
        thread::Builder::new().name("interrupt".into()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
            });
            tell.store(true, Relaxed);
        })?;
        Ok(Self(told))
    }

    /// Fails once a signal has come.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        ensure!(!self.0.load(Relaxed), "interrupted");
        Ok(())
    }
}
