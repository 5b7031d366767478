//! Network between a tier and its store, with faults.

use std::{
    net::Ipv4Addr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp},
    sync::watch,
    task::JoinHandle,
    time,
};

/// Fault in the answers of the store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// They come this much later.
    Delay(Duration),
    /// The connection ends after this many bytes of answers.
    CutAfter(usize),
    /// These bytes come in their place, and then the end.
    Garbage(Vec<u8>),
    /// They do not come at all.
    Silence,
}

/// Proxy of a store; dropping it ends its connections.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) port: u16,
    fault: Arc<watch::Sender<Fault>>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Starts a proxy in front of a port.
    pub(crate) fn start(to: u16) -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        Self::start_on(listener, to)
    }

    /// Starts a proxy on a listener.
    pub(crate) fn start_on(listener: std::net::TcpListener, to: u16) -> Self {
        listener.set_nonblocking(true).expect("a listener can be non-blocking");
        let port = listener.local_addr().expect("a listener has an address").port();
        let (fault, _) = watch::channel(Fault::None);
        let fault = Arc::new(fault);
        let accepting = tokio::spawn(accept(listener, to, Arc::clone(&fault)));
        Self { port, fault, accepting }
    }

    /// Changes what happens from now on, also on the connections that are open.
    pub(crate) fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: std::net::TcpListener, to: u16, fault: Arc<watch::Sender<Fault>>) {
    let listener = TcpListener::from_std(listener).expect("within a runtime");
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        connections.spawn(connection(client, to, fault.subscribe()));
    }
}

async fn connection(client: TcpStream, to: u16, fault: watch::Receiver<Fault>) {
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, to)).await else { return };
    for stream in [&client, &server] {
        stream.set_nodelay(true).expect("a TCP option");
    }
    let (mut from_client, to_client) = client.into_split();
    let (from_server, mut to_server) = server.into_split();
    let requests = async { tokio::io::copy(&mut from_client, &mut to_server).await.map(drop) };
    let answers = answers(from_server, to_client, fault);
    // What ends first ends both.
    tokio::select! {
        _ = requests => {}
        _ = answers => {}
    }
}

async fn answers(
    mut server: tcp::OwnedReadHalf,
    mut client: tcp::OwnedWriteHalf,
    mut fault: watch::Receiver<Fault>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    let mut passed = 0;
    loop {
        let len = server.read(&mut buffer).await?;
        let came = Instant::now();
        if len == 0 {
            return Ok(());
        }
        loop {
            let now = fault.borrow_and_update().clone();
            match now {
                Fault::None => break,
                Fault::Delay(delay) if came.elapsed() >= delay => break,
                Fault::CutAfter(bytes) if passed + len <= bytes => break,
                Fault::CutAfter(bytes) => {
                    client.write_all(&buffer[..bytes.saturating_sub(passed)]).await?;
                    return Ok(());
                }
                Fault::Garbage(bytes) => {
                    client.write_all(&bytes).await?;
                    return Ok(());
                }
                Fault::Delay(delay) => {
                    let rest = delay.saturating_sub(came.elapsed());
                    let _changed = time::timeout(rest, fault.changed()).await;
                }
                Fault::Silence => drop(fault.changed().await),
            }
        }
        client.write_all(&buffer[..len]).await?;
        passed += len;
    }
}
