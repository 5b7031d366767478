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

/// Flag that is set once a signal has asked this process to stop.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Starts to listen: from here on the signals no longer end the process.
    pub(crate) fn listen() -> io::Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (mut interrupt, mut terminate) = {
            let _inside = runtime.enter();
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
        };
        let flag = Arc::clone(&asked);
        // The thread is not joined: it ends with the process.
        thread::Builder::new().name("interrupt".into()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
            });
            flag.store(true, Relaxed);
        })?;
        Ok(Self(asked))
    }

    /// Error once a signal has arrived.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        ensure!(!self.0.load(Relaxed), "interrupted");
        Ok(())
    }
}
