//! S3 store that refuses the first request for each object, as a busy one does.

use std::{
    collections::HashMap,
    net::Ipv4Addr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// Bodies of the requests that put a name, in order.
type Puts = Arc<Mutex<HashMap<String, Vec<Vec<u8>>>>>;

/// Store that keeps nothing. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct BusyStore {
    pub(crate) port: u16,
    puts: Puts,
    accepting: JoinHandle<()>,
}

impl BusyStore {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("a listener has an address").port();
        let puts = Puts::default();
        let accepting = tokio::spawn(accept(listener, Arc::clone(&puts)));
        Self { port, puts, accepting }
    }

    /// Bodies of the requests that put a name, in order.
    pub(crate) fn puts(&self, name: &str) -> Vec<Vec<u8>> {
        let puts = self.puts.lock().expect("nothing panics under the lock");
        puts.get(name).cloned().unwrap_or_default()
    }
}

impl Drop for BusyStore {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, puts: Puts) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        connections.spawn(serve(client, Arc::clone(&puts)));
    }
}

async fn serve(client: TcpStream, puts: Puts) {
    let mut client = BufReader::new(client);
    while let Ok(Some((line, body))) = request(&mut client).await {
        let answer = answer(&line, body, &puts);
        if client.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// First line of the next request, and its body.
pub(crate) async fn request(
    client: &mut BufReader<TcpStream>,
) -> std::io::Result<Option<(String, Vec<u8>)>> {
    let (mut first, mut len) = (String::new(), 0);
    if client.read_line(&mut first).await? == 0 {
        return Ok(None);
    }
    loop {
        let mut line = String::new();
        client.read_line(&mut line).await?;
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(text) = line.strip_prefix("content-length:") {
            len = text.trim().parse().expect("a length is a number");
        }
    }
    let mut body = vec![0; len];
    client.read_exact(&mut body).await?;
    Ok(Some((first, body)))
}

fn answer(line: &str, body: Vec<u8>, puts: &Puts) -> String {
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let listing = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
    match method {
        "PUT" => {
            let mut puts = puts.lock().expect("nothing panics under the lock");
            let bodies = puts.entry(target.to_owned()).or_default();
            bodies.push(body);
            if target.contains("/v1/") && bodies.len() == 1 {
                return "HTTP/1.1 503 Slow Down\r\ncontent-length: 0\r\n\r\n".to_owned();
            }
            "HTTP/1.1 200 OK\r\netag: \"1\"\r\ncontent-length: 0\r\n\r\n".to_owned()
        }
        "GET" if target.contains("list-type") => {
            format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{listing}", listing.len())
        }
        _ => "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned(),
    }
}
