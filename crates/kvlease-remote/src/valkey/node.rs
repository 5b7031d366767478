//! Server with the connections to it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo,
    RedisError, TlsCertificates, Value,
};

use super::{answer::QueryError, link::Link};
use crate::{
    authorities::Authorities,
    location::{Server, ValkeyLocation},
    options::Options,
    secret::Secret,
};

/// Connections for transfers.
const TRANSFER_LINKS: usize = 4;

/// Bytes of commands that are collected before they are written to the socket.
const WRITE_LEN: usize = 1 << 20;

/// Purpose of a call. Look-ups do not queue behind large values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    LookUp,
    Transfer,
}

/// Address details and credentials for any server of a tier.
#[derive(Clone, Debug)]
pub(super) struct Access {
    /// Certificates of the authorities that are trusted, in PEM, if connections are encrypted.
    tls: Option<Arc<[u8]>>,
    database: i64,
    user: Option<String>,
    password: Option<Secret>,
    connect_timeout: Duration,
    call_timeout: Duration,
}

/// Server with the connections to it.
#[derive(Debug)]
pub(super) struct Node {
    server: Server,
    look_ups: Arc<Link>,
    transfers: Vec<Arc<Link>>,
    next: AtomicUsize,
}

impl Access {
    /// Access to the servers at a place.
    pub(super) fn new(
        location: &ValkeyLocation,
        options: &Options,
        authorities: &Authorities,
    ) -> Self {
        Self {
            tls: location.tls.then(|| authorities.pem().into()),
            database: location.database,
            user: location.user.clone(),
            password: options.password.clone().or_else(|| location.password.clone()),
            connect_timeout: options.connect_timeout,
            call_timeout: options.call_timeout,
        }
    }

    /// A server, not connected yet.
    pub(super) fn node(&self, server: Server) -> Result<Node, RedisError> {
        let client = self.client(&server)?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(Some(self.call_timeout))
            .set_write_backpressure_boundary(WRITE_LEN);
        let link = || Arc::new(Link::new(server.clone(), client.clone(), config.clone()));
        let (look_ups, transfers) = (link(), (0..TRANSFER_LINKS).map(|_| link()).collect());
        Ok(Node { server, look_ups, transfers, next: AtomicUsize::new(0) })
    }

    fn client(&self, server: &Server) -> Result<Client, RedisError> {
        let info = self.connection_info(server)?;
        match &self.tls {
            None => Client::open(info),
            Some(authorities) => {
                let root_cert = Some(authorities.to_vec());
                Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert })
            }
        }
    }

    fn connection_info(&self, server: &Server) -> Result<redis::ConnectionInfo, RedisError> {
        let Server { host, port } = server.clone();
        let address = if self.tls.is_some() {
            ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
        } else {
            ConnectionAddr::Tcp(host, port)
        };
        let mut settings = RedisConnectionInfo::default().set_db(self.database);
        if let Some(user) = &self.user {
            settings = settings.set_username(user);
        }
        if let Some(password) = &self.password {
            settings = settings.set_password(password.expose());
        }
        Ok(address.into_connection_info()?.set_redis_settings(settings))
    }
}

impl Node {
    /// The address.
    pub(super) fn server(&self) -> &Server {
        &self.server
    }

    /// Sends a command and waits for the answer.
    pub(super) async fn query(
        &self,
        purpose: Purpose,
        command: &Cmd,
        asking: bool,
    ) -> Result<Value, QueryError> {
        let link = match purpose {
            Purpose::LookUp => &self.look_ups,
            Purpose::Transfer => {
                let turn = self.next.fetch_add(1, Ordering::Relaxed);
                &self.transfers[turn % TRANSFER_LINKS]
            }
        };
        link.query(command, asking).await
    }
}
