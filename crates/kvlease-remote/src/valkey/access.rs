//! Access to the servers of a tier: credentials, certificates and limits.

use std::{sync::Arc, time::Duration};

use redis::{
    Client, Cmd, ConnectionAddr, ErrorKind, IntoConnectionInfo, RedisConnectionInfo, RedisError,
    TlsCertificates,
};
use rustls::ClientConfig;

use crate::{
    authorities::Authorities,
    location::{Server, ValkeyLocation},
    options::Options,
    secret::Secret,
};

/// Address details and credentials for any server of a tier.
#[derive(Clone, Debug)]
pub(super) struct Access {
    /// Certificates of the authorities that are trusted, in PEM, if connections are encrypted.
    tls: Option<Arc<[u8]>>,
    /// The same, for connections that are not the library's.
    pub(super) tls_config: Option<Arc<ClientConfig>>,
    database: i64,
    user: Option<String>,
    password: Option<Secret>,
    pub(super) connect_timeout: Duration,
    pub(super) call_timeout: Duration,
}

impl Access {
    /// Access to the servers at a place.
    pub(super) fn new(
        location: &ValkeyLocation,
        options: &Options,
        authorities: &Authorities,
    ) -> Result<Self, RedisError> {
        let tls_config = location.tls.then(|| authorities.client_config()).transpose();
        let tls_config = tls_config.map_err(|error| {
            RedisError::from((ErrorKind::InvalidClientConfig, "TLS", error.to_string()))
        })?;
        Ok(Self {
            tls: location.tls.then(|| authorities.pem().into()),
            tls_config: tls_config.map(Arc::new),
            database: location.database,
            user: location.user.clone(),
            password: options.password.clone().or_else(|| location.password.clone()),
            connect_timeout: options.connect_timeout,
            call_timeout: options.call_timeout,
        })
    }

    /// Commands with which a connection begins, each of which is answered with `OK`.
    pub(super) fn opening(&self) -> Vec<Cmd> {
        let mut commands = Vec::new();
        if let Some(password) = &self.password {
            let mut words = Cmd::new();
            words.arg("AUTH").arg(self.user.as_deref()).arg(password.expose());
            commands.push(words);
        }
        if self.database != 0 {
            let mut words = Cmd::new();
            words.arg("SELECT").arg(self.database);
            commands.push(words);
        }
        commands
    }

    /// Client of the library for a server.
    pub(super) fn client(&self, server: &Server) -> Result<Client, RedisError> {
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
