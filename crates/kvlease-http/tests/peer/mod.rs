//! A peer that answers what a test tells it to, over a real socket: what no good daemon would say.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use kvlease_http::{Client, ClientConfig, Timeouts};
use tokio::net::TcpListener;

/// A request that the peer got: `METHOD path-and-query`, and the body.
pub(crate) type Asked = (String, Bytes);

/// The peer. It ends with the runtime of its test.
pub(crate) struct Peer {
    pub(crate) config: ClientConfig,
    asked: Arc<Mutex<Vec<Asked>>>,
    connections: Arc<AtomicUsize>,
}

impl Peer {
    /// Listens on a free port and answers every request with what `answer` makes of it; `None`
    /// is no answer at all.
    pub(crate) async fn start(
        answer: impl Fn(&str) -> Option<Response<Full<Bytes>>> + Send + Sync + 'static,
    ) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), answer)
    }

    /// Like [`Self::start`], on this listener.
    pub(crate) fn on(
        listener: TcpListener,
        answer: impl Fn(&str) -> Option<Response<Full<Bytes>>> + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap().to_string();
        let peer = Self {
            config: patient(ClientConfig::new(address.parse().unwrap())),
            asked: Arc::default(),
            connections: Arc::default(),
        };
        let (asked, connections) = (Arc::clone(&peer.asked), Arc::clone(&peer.connections));
        let answer = Arc::new(answer);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::Relaxed);
                let (asked, answer) = (Arc::clone(&asked), Arc::clone(&answer));
                let service = service_fn(move |request: Request<Incoming>| {
                    let (asked, answer) = (Arc::clone(&asked), Arc::clone(&answer));
                    async move {
                        let line = format!("{} {}", request.method(), request.uri());
                        let body = request.into_body().collect().await;
                        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
                        asked.lock().unwrap().push((line.clone(), body));
                        match answer(&line) {
                            Some(response) => Ok::<_, Infallible>(response),
                            None => std::future::pending().await,
                        }
                    }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        peer
    }

    /// A client of the peer.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.config.clone())
    }

    /// How many connections there were.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Everything that was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// How often something that contains this was asked.
    pub(crate) fn count(&self, pattern: &str) -> usize {
        self.asked().iter().filter(|(line, _)| line.contains(pattern)).count()
    }

    /// Waits until something that contains this was asked.
    pub(crate) async fn wait_for(&self, pattern: &str) {
        self.wait_for_many(pattern, 1).await;
    }

    /// Waits until this number of requests that contain the pattern has arrived.
    pub(crate) async fn wait_for_many(&self, pattern: &str, times: usize) {
        for _ in 0..20_000 {
            if self.count(pattern) >= times {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("not asked {times} times: {pattern}, but {:?}", self.asked());
    }
}

/// The same with limits that no test reaches, however long its machine is held up.
pub(crate) fn patient(mut config: ClientConfig) -> ClientConfig {
    let long = Duration::from_secs(120);
    config.timeouts = Timeouts { connect: long, call: long, transfer: long, stall: long };
    config
}

/// A reply with this status and body, which is JSON if it looks like it.
pub(crate) fn reply(status: u16, body: impl Into<Bytes>) -> Option<Response<Full<Bytes>>> {
    let body = body.into();
    let content_type = match body.first() {
        Some(b'{' | b'[') => "application/json; charset=utf-8",
        _ => "text/plain",
    };
    let response = Response::builder().status(status).header("content-type", content_type);
    Some(response.body(Full::new(body)).unwrap())
}
