//! One arena of the daemon with all that serves it, but HTTP.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use kvlease_arena::Undo;
use tokio::{sync::watch, task::JoinHandle};

use crate::{config::SocketPlace, context::Context, lane, sampler::sample, taken::Lane};

/// Arena that is served.
pub(crate) struct Hosted {
    context: Arc<Context>,
    socket: Option<PathBuf>,
    /// The fast lane's order to stop, given by dropping the sender, and its task.
    lane: Option<(watch::Sender<()>, JoinHandle<()>)>,
    sampling: JoinHandle<()>,
    /// Removal of the arena, if this daemon made it.
    undo: Option<Undo>,
}

impl Hosted {
    /// Serves the fast lane. At the end its connections have this `grace`.
    pub(crate) fn serve(
        context: &Arc<Context>,
        (socket, socket_path): (Option<Lane>, Option<PathBuf>),
        mut undo: Option<Undo>,
        grace: Duration,
    ) -> Self {
        let lane = socket.map(|(mut socket, listener)| {
            socket.keep_directory();
            let (stop, stopped) = watch::channel(());
            let accepting = lane::accept((socket, listener), Arc::clone(context), stopped, grace);
            (stop, tokio::spawn(accepting))
        });
        if let Some(undo) = &mut undo {
            undo.keep();
        }
        let sampling = tokio::spawn(sample(Arc::clone(context)));
        Self { context: Arc::clone(context), socket: socket_path, lane, sampling, undo }
    }

    pub(crate) fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// Path of the fast lane's socket; `None` if there is none.
    pub(crate) fn socket(&self) -> Option<&Path> {
        self.socket.as_deref()
    }

    /// Has the fast lane end, and returns its task, if there is one.
    pub(crate) fn end_lane(&mut self) -> Option<JoinHandle<()>> {
        self.lane.take().map(|(_stop, accepting)| accepting)
    }

    /// Ends what runs once no request comes any more.
    pub(crate) fn stop(&self) {
        self.sampling.abort();
        self.context.engine.stop();
    }

    /// Removes the arena if this daemon made it. To be called once nothing uses it.
    pub(crate) fn remove(self) {
        let Self { context, socket, undo, .. } = self;
        let is_beside = context.config.socket == SocketPlace::Auto;
        drop(context);
        let Some(undo) = undo else { return };
        if let Some(path) = socket.filter(|_| is_beside) {
            lane::remove_directory(&path);
        }
        undo.remove();
    }
}
