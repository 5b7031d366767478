//! Listeners of the publisher, which are made before the daemon has touched anything.

use std::net::{SocketAddr, TcpListener};

use crate::{
    config::{Config, EventsEndpoint},
    exit::ServeError,
};

/// Where batches are published.
#[derive(Debug)]
pub(crate) enum Place {
    /// Subscribers connect here.
    Listener(TcpListener),
    /// A subscriber listens there: `tcp://HOST:PORT`.
    Remote(String),
}

/// Sockets that a publisher listens on.
#[derive(Debug)]
pub(crate) struct Listeners {
    pub(crate) place: Place,
    /// For requests for what was missed.
    pub(crate) replay: Option<TcpListener>,
}

impl Listeners {
    /// The addresses that were taken, of subscribers and of replays.
    pub(crate) fn addresses(&self) -> (Option<SocketAddr>, Option<SocketAddr>) {
        let publish = match &self.place {
            Place::Listener(listener) => listener.local_addr().ok(),
            Place::Remote(_) => None,
        };
        let replay = self.replay.as_ref();
        (publish, replay.and_then(|replay| replay.local_addr().ok()))
    }
}

/// Listens for subscribers to KV events, if they are to be published.
pub(crate) fn bind(config: &Config) -> Result<Option<Listeners>, ServeError> {
    let Some(endpoint) = &config.events_endpoint else { return Ok(None) };
    if cfg!(not(feature = "zeromq")) {
        return Err(no_zeromq(endpoint));
    }
    let place = match endpoint {
        EventsEndpoint::Listen(address) => Place::Listener(listen("events.endpoint", *address)?),
        EventsEndpoint::Connect(endpoint) => Place::Remote(endpoint.clone()),
    };
    let replay = config.events_replay_endpoint;
    let replay = replay.map(|address| listen("events.replay_endpoint", address)).transpose()?;
    Ok(Some(Listeners { place, replay }))
}

fn listen(setting: &'static str, address: SocketAddr) -> Result<TcpListener, ServeError> {
    let refused = |source| ServeError::Events { setting, address, source };
    let listener = TcpListener::bind(address).map_err(refused)?;
    listener.set_nonblocking(true).map_err(refused)?;
    Ok(listener)
}

#[cfg(feature = "zeromq")]
fn no_zeromq(_: &EventsEndpoint) -> ServeError {
    unreachable!("this build publishes KV events")
}

#[cfg(not(feature = "zeromq"))]
fn no_zeromq(endpoint: &EventsEndpoint) -> ServeError {
    ServeError::NoZeroMq(endpoint.clone())
}
