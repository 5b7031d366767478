//! Listeners of HTTP as the configuration has them, until they are served.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

use crate::{
    config::{Config, FIRST_LISTENER, Serves, TlsFiles},
    context::Context,
    exit::ServeError,
    http::{self, Admission, Listener},
    tls::{self, Certificates},
};

/// Sockets that are listened on, with their certificates.
pub(crate) struct Listeners(Vec<Listener>);

/// Tasks that serve listeners.
pub(crate) struct Serving {
    /// The order to stop, given by dropping it.
    stop: watch::Sender<()>,
    accepting: Vec<JoinHandle<()>>,
    /// The task that reads certificates again, if there are any.
    rereading: Option<JoinHandle<()>>,
}

impl Listeners {
    /// Reads all certificates and listens on all addresses, on the first one by this socket if it is
    /// given. The first listener is that of `server.address`.
    pub(crate) async fn bind(
        config: &Config,
        first: Option<TcpListener>,
    ) -> Result<Self, ServeError> {
        // All files are looked at before anything is listened on.
        let mut plans = vec![plan(FIRST_LISTENER, config.address, Serves::All, config.tls()?)?];
        for (name, listener) in &config.listeners {
            let (address, serves, tls) = (listener.address, listener.serves, listener.tls.clone());
            plans.push(plan(name, address, serves, tls)?);
        }
        let (mut first, mut listeners) = (first, Vec::new());
        for Plan { name, address, serves, tls } in plans {
            let setting = match &*name {
                FIRST_LISTENER => "server.address".to_owned(),
                name => format!("listener.{name}.address"),
            };
            let refused = |error: io::Error| ServeError::listen(&setting, address, error);
            let socket = match first.take() {
                Some(socket) => socket,
                None => TcpListener::bind(address).await.map_err(refused)?,
            };
            let address = socket.local_addr().map_err(refused)?;
            listeners.push(Listener { socket, address, name, serves, tls });
        }
        Ok(Self(listeners))
    }

    /// Names and addresses, the first listener's first.
    pub(crate) fn addresses(&self) -> Vec<Listening> {
        let listening = |listener: &Listener| Listening {
            name: Arc::clone(&listener.name),
            address: listener.address,
            serves: listener.serves,
            is_encrypted: listener.tls.is_some(),
        };
        self.0.iter().map(listening).collect()
    }

    /// Serves all of them. At the end connections have this `grace` for their last request.
    pub(crate) fn serve(self, context: &Arc<Context>, grace: Duration) -> Serving {
        let admission = Admission::new(context.places.http, &context.metrics);
        let certificates: Vec<_> = self.0.iter().filter_map(|found| found.tls.clone()).collect();
        for one in &certificates {
            context.metrics.tls.set_expiry(one.listener(), one.expires());
        }
        let metrics = Arc::clone(&context.metrics);
        let rereads = !certificates.is_empty();
        let rereading = rereads.then(|| tokio::spawn(tls::reread(certificates, metrics)));
        let (stop, stopped) = watch::channel(());
        let accept = |listener| {
            let shared = (Arc::clone(context), Arc::clone(&admission));
            tokio::spawn(http::accept(listener, shared, stopped.clone(), grace))
        };
        Serving { stop, accepting: self.0.into_iter().map(accept).collect(), rereading }
    }
}

impl Serving {
    /// Accepts nothing more, and waits for connections to end their last request.
    pub(crate) async fn end(self) {
        drop(self.stop);
        for accepting in self.accepting {
            // It has ended before only if it was torn down with the runtime.
            let _ = accepting.await;
        }
        if let Some(rereading) = self.rereading {
            rereading.abort();
        }
    }
}

/// A listener as it is told to people.
#[derive(Clone, Debug)]
pub(crate) struct Listening {
    pub(crate) name: Arc<str>,
    pub(crate) address: SocketAddr,
    pub(crate) serves: Serves,
    pub(crate) is_encrypted: bool,
}

impl Listening {
    /// Scheme of its URLs.
    pub(crate) const fn scheme(&self) -> &'static str {
        if self.is_encrypted { "https" } else { "http" }
    }
}

/// A listener before its socket.
struct Plan {
    name: Arc<str>,
    address: SocketAddr,
    serves: Serves,
    tls: Option<Arc<Certificates>>,
}

fn plan(
    name: &str,
    address: SocketAddr,
    serves: Serves,
    files: Option<TlsFiles>,
) -> Result<Plan, ServeError> {
    let tls = files.map(|files| Certificates::read(name, files)).transpose()?.map(Arc::new);
    Ok(Plan { name: name.into(), address, serves, tls })
}
