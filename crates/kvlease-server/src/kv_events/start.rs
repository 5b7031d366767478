//! Start and end of the publisher.

use std::{io, net::SocketAddr, sync::Arc, thread, thread::JoinHandle};

#[cfg(feature = "zeromq")]
use super::publisher::run;
use super::{listeners::Listeners, options::Options};
use crate::{context::Context, exit::ServeError};

/// The thread that publishes.
#[derive(Debug)]
pub(crate) struct Publisher {
    thread: JoinHandle<()>,
    addresses: (Option<SocketAddr>, Option<SocketAddr>),
}

/// Starts to publish.
pub(crate) fn start(listeners: Listeners, context: &Context) -> Result<Publisher, ServeError> {
    let addresses = listeners.addresses();
    let config = &context.config;
    let blocks = context.blocks.as_ref().expect("the context has them where events are published");
    let options = Options {
        engine: Arc::clone(&context.engine),
        blocks: Arc::clone(blocks),
        listeners,
        topic: config.events_topic.clone(),
        format: config.events_format,
        epoch: context.status.epoch(),
        memory_max: config.events_memory_max,
    };
    let refused = |source: io::Error| ServeError::System { what: "threads", source };
    let named = thread::Builder::new().name("kvlease-zeromq".into());
    let thread = named.spawn(move || run(options)).map_err(refused)?;
    tracing::info!(publish = ?addresses.0, replay = ?addresses.1, "KV events are published");
    Ok(Publisher { thread, addresses })
}

#[cfg(not(feature = "zeromq"))]
fn run(_: Options) {
    unreachable!("no listener is made without ZeroMQ")
}

impl Publisher {
    /// The addresses of subscribers and of replays.
    pub(crate) fn addresses(&self) -> (Option<SocketAddr>, Option<SocketAddr>) {
        self.addresses
    }

    /// Waits until the last events are sent, which [`Engine::end_events`] makes them.
    ///
    /// [`Engine::end_events`]: kvlease_engine::Engine::end_events
    pub(crate) async fn end(self) {
        let joined = tokio::task::spawn_blocking(|| self.thread.join()).await;
        joined.expect("a join does not panic").expect("a panic ends the process");
    }
}
