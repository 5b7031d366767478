//! Listeners of HTTP, and how clients arrive at them.

use std::{fmt, net::SocketAddr, sync::Arc};

use kvlease_api::Endpoint;
use tokio::net::TcpListener;

use crate::{
    config::Serves,
    tls::{Certificates, ClientNames},
};

/// Listener of HTTP, with TLS or without.
pub(crate) struct Listener {
    pub(crate) socket: TcpListener,
    /// The address that it has, also where port 0 is configured.
    pub(crate) address: SocketAddr,
    /// Name in the configuration.
    pub(crate) name: Arc<str>,
    pub(crate) serves: Serves,
    /// `None` for plain HTTP.
    pub(crate) tls: Option<Arc<Certificates>>,
}

/// Arrival of a client, as it is known before any request: the listener by which it came, and the names
/// in its certificate.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    /// Name of the listener.
    pub(crate) listener: Arc<str>,
    /// Requests that the listener answers.
    pub(crate) serves: Serves,
    /// Names in the certificate that the client showed; `None` if it showed none.
    pub(crate) certificate: Option<ClientNames>,
}

impl Arrival {
    /// The arrival at a listener of a client without a certificate.
    pub(super) fn at(listener: &Listener) -> Self {
        let (name, serves) = (Arc::clone(&listener.name), listener.serves);
        Self { listener: name, serves, certificate: None }
    }

    /// Whether the listener answers requests of this endpoint.
    pub(super) fn reaches(&self, endpoint: Endpoint) -> bool {
        // A new endpoint is for operators only if it is named here.
        let is_for_operators = matches!(
            endpoint,
            Endpoint::Stats
                | Endpoint::History
                | Endpoint::StatusPage
                | Endpoint::Asset
                | Endpoint::Health
                | Endpoint::Ready
                | Endpoint::Metrics
                | Endpoint::OpenApi
        );
        self.serves == Serves::All || is_for_operators
    }
}

impl fmt::Display for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "listener=`{}` certificate=`", self.listener)?;
        match &self.certificate {
            Some(names) => names.fmt(f)?,
            None => f.write_str("none")?,
        }
        f.write_str("`")
    }
}
