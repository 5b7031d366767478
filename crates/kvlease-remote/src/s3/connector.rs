//! HTTP for the library: hyper, with the TLS of the rest of the workspace.

use std::{error::Error, sync::Arc, time::Duration};

use async_trait::async_trait;
use http_body_util::BodyExt;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector as TcpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use object_store::{
    ClientOptions,
    client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody,
        HttpResponse, HttpResponseBody, HttpService,
    },
};
use rustls::{ClientConfig, crypto::ring};

use crate::authorities::{Authorities, with_remedy};

/// Time after which an idle connection is closed; stores close theirs later.
const IDLE_MAX: Duration = Duration::from_secs(20);

/// Maker of HTTP clients.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    tls: ClientConfig,
    connect_timeout: Duration,
}

impl Connector {
    /// Clients that trust these authorities.
    pub(super) fn new(
        connect_timeout: Duration,
        authorities: &Authorities,
    ) -> Result<Self, rustls::Error> {
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(authorities.roots())
            .with_no_client_auth();
        Ok(Self { tls, connect_timeout })
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let mut tcp = TcpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(self.connect_timeout));
        let tls = HttpsConnectorBuilder::new().with_tls_config(self.tls.clone());
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_MAX)
            .build(tls.https_or_http().enable_http1().wrap_connector(tcp));
        Ok(HttpClient::new(Service { client }))
    }
}

#[derive(Debug)]
struct Service {
    client: legacy::Client<HttpsConnector<TcpConnector>, HttpRequestBody>,
}

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answer = self.client.request(request).await.map_err(|error| {
            let kind =
                if error.is_connect() { HttpErrorKind::Connect } else { HttpErrorKind::Request };
            HttpError::new(kind, Cause(chain(&error)))
        })?;
        let failed =
            |error: hyper::Error| HttpError::new(HttpErrorKind::Interrupted, Cause(chain(&error)));
        Ok(answer.map(|body| HttpResponseBody::new(body.map_err(failed))))
    }
}

/// Message of an error with those of its causes: the library shows the outermost only.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Cause(String);

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    with_remedy(text)
}
