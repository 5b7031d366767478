//! HTTP client of a collector.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Request, StatusCode, Uri,
    header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT},
};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use kvlease_types::with_causes;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio::time::timeout;

use super::headers;
use crate::{
    bounded_file,
    config::{ConfigError, OtlpSettings},
    exit::ServeError,
};

/// Time after which an idle connection is closed.
const IDLE_MAX: Duration = Duration::from_secs(90);

/// The longest answer, in bytes.
const ANSWER_LEN_MAX: usize = 64 << 10;

/// The longest file of certificates, in bytes.
const CA_FILE_LEN_MAX: u64 = 4 << 20;

/// Client with the headers of every request.
#[derive(Debug)]
pub(super) struct Client {
    http: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    headers: HeaderMap,
    timeout: Duration,
}

/// A request that did not come to a good end.
#[derive(Debug)]
pub(super) struct Failure {
    /// Whether the same request may succeed later.
    pub(super) is_transient: bool,
    /// Pause that the collector asks for.
    pub(super) pause: Option<Duration>,
    pub(super) text: String,
}

impl Client {
    pub(super) fn new(settings: &OtlpSettings) -> Result<Self, ServeError> {
        let mut headers = headers::configured(settings)?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        let program = concat!("kvlease/", env!("CARGO_PKG_VERSION"));
        headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(program));
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has the suites of both versions")
            .with_root_certificates(authorities(settings)?)
            .with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let tls = HttpsConnectorBuilder::new().with_tls_config(tls);
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_MAX)
            .build(tls.https_or_http().enable_http1().wrap_connector(tcp));
        Ok(Self { http, headers, timeout: settings.timeout })
    }

    /// Sends a message, and returns the answer.
    pub(super) async fn post(&self, url: &Uri, message: Bytes) -> Result<Bytes, Failure> {
        let mut request = Request::post(url).body(Full::new(message)).expect("the parts are sound");
        request.headers_mut().extend(self.headers.clone());
        let answered = timeout(self.timeout, async {
            let answer = self.http.request(request).await.map_err(|error| with_causes(&error))?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, ANSWER_LEN_MAX).collect().await;
            Ok((head, body.map_err(|error| with_causes(&*error))?.to_bytes()))
        });
        let failed = |text| Failure { is_transient: true, pause: None, text };
        let answered = answered.await.map_err(|_| {
            failed(format!("no answer came within {} s", self.timeout.as_secs_f64()))
        })?;
        let (head, body) = answered.map_err(failed)?;
        if head.status.is_success() {
            return Ok(body);
        }
        let pause =
            head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        Err(Failure {
            is_transient: is_transient(head.status),
            pause: pause.map(Duration::from_secs),
            text: format!("it answered with status {}", head.status.as_u16()),
        })
    }
}

/// Statuses after which OTLP has a request sent again.
const fn is_transient(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 502 | 503 | 504)
}

/// The system's authorities, and those of the file.
fn authorities(settings: &OtlpSettings) -> Result<RootCertStore, ConfigError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let Some(path) = &settings.tls_ca_file else { return Ok(roots) };
    let added = bounded_file::read(path, CA_FILE_LEN_MAX).and_then(|text| {
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
        let (added, _) = roots.add_parsable_certificates(found.unwrap_or_default());
        if added == 0 { Err("write certificates in PEM into it".to_owned()) } else { Ok(()) }
    });
    added.map_err(|remedy| ConfigError::Value {
        key: "otlp.tls_ca_file".into(),
        value: path.display().to_string(),
        remedy,
        origin: "file of certificates".into(),
    })?;
    Ok(roots)
}
