//! HTTP for the library: hyper, with the TLS of the rest of the workspace.

use std::{error::Error, time::Duration};

use async_trait::async_trait;
use http_body_util::{BodyExt, Either};
use hyper::Request as HyperRequest;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector as TcpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use kvlease_types::with_causes;
use object_store::{
    ClientOptions,
    client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody,
        HttpResponse, HttpResponseBody, HttpService,
    },
};
use rustls::ClientConfig;

use super::streamed::{Streamed, StreamedBody};
use crate::authorities::Authorities;

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
        Ok(Self { tls: authorities.client_config()?, connect_timeout })
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

/// Bytes of a request: the library's, or a value that is read while it is sent.
type RequestBody = Either<HttpRequestBody, StreamedBody>;

#[derive(Debug)]
struct Service {
    client: legacy::Client<HttpsConnector<TcpConnector>, RequestBody>,
}

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (mut parts, body) = request.into_parts();
        let streamed = parts.extensions.remove::<Streamed>();
        let body = match &streamed {
            None => Either::Left(body),
            Some(value) => {
                let body = value.body();
                Either::Right(body.map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?)
            }
        };
        let answer = self.client.request(HyperRequest::from_parts(parts, body)).await;
        let answer = answer.map_err(|error| {
            let kind = match &streamed {
                // Another request would find the same.
                Some(value) if value.is_changed() => HttpErrorKind::Unknown,
                _ if error.is_connect() => HttpErrorKind::Connect,
                _ => HttpErrorKind::Request,
            };
            HttpError::new(kind, Cause::of(&error))
        })?;
        let failed =
            |error: hyper::Error| HttpError::new(HttpErrorKind::Interrupted, Cause::of(&error));
        Ok(answer.map(|body| HttpResponseBody::new(body.map_err(failed))))
    }
}

/// Message of an error with those of its causes: the library shows the outermost only.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Cause(String);

impl Cause {
    fn of(error: &dyn Error) -> Self {
        Self(with_causes(error))
    }
}
