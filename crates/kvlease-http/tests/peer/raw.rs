//! A peer that breaks connections at a place of the test's choice, below HTTP.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use kvlease_http::{Client, ClientConfig, Timeouts};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Fate of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// These bytes are the answer, and the connection stays.
    Answer(&'static str),
    /// These bytes are all there is: the connection is closed behind them.
    AnswerAndClose(&'static str),
    /// These bytes are all there is, and the connection stays open.
    AnswerAndHang(&'static str),
}

/// The peer. It ends with the runtime of its test.
pub(crate) struct RawPeer {
    pub(crate) config: ClientConfig,
    requests: Arc<Mutex<Vec<String>>>,
    closed: Arc<AtomicUsize>,
}

impl RawPeer {
    /// Listens on a free port. `act` is given the number of the request, from 0.
    pub(crate) async fn start(act: impl Fn(usize) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let closed = Arc::<AtomicUsize>::default();
        let (noted, act) = (Arc::clone(&requests), Arc::new(act));
        let counted = Arc::clone(&closed);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = serve(stream, Arc::clone(&noted), Arc::clone(&act));
                let counted = Arc::clone(&counted);
                tokio::spawn(async move {
                    serving.await;
                    counted.fetch_add(1, Ordering::Relaxed);
                });
            }
        });
        let mut config = ClientConfig::new(address.parse().unwrap());
        // No test reaches these, however long its machine is held up.
        let long = Duration::from_secs(120);
        config.timeouts = Timeouts { connect: long, call: long, transfer: long, stall: long };
        Self { config, requests, closed }
    }

    /// A client of the peer.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.config.clone())
    }

    /// Number of connections that the peer has closed.
    pub(crate) fn closed(&self) -> usize {
        self.closed.load(Ordering::Relaxed)
    }

    /// The heads of all requests so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    requests: Arc<Mutex<Vec<String>>>,
    act: Arc<impl Fn(usize) -> Act>,
) {
    while let Some(head) = read_head(&mut stream).await {
        let number = {
            let mut requests = requests.lock().unwrap();
            requests.push(head);
            requests.len() - 1
        };
        match act(number) {
            Act::Answer(bytes) => stream.write_all(bytes.as_bytes()).await.unwrap(),
            Act::AnswerAndClose(bytes) => return stream.write_all(bytes.as_bytes()).await.unwrap(),
            Act::AnswerAndHang(bytes) => {
                stream.write_all(bytes.as_bytes()).await.unwrap();
                return std::future::pending().await;
            }
        }
    }
}

/// A request to the end of its head. Bodies are as long as the test makes them: they are read as far
/// as they are in the same piece.
async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    Some(String::from_utf8_lossy(&head).into_owned())
}
