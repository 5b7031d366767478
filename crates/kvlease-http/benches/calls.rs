//! Cost of a call for its client: processor time and wall time of small calls next to a bare round
//! trip of the same bytes, and the throughput of puts by the length of their pieces.
//!
//! The peer is a thread per connection that answers without looking, so that what is seen is the
//! client. With `KVLEASE_URL` the puts go to that daemon. The variants take turns within a round,
//! so that a slow moment of the machine meets all of them; figures are medians of the rounds.
//!
//! `cargo bench -p kvlease-http --bench calls`

#![expect(clippy::unwrap_used, reason = "a measurement that fails has no result")]

use std::{
    env,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use kvlease_http::{Client, ClientConfig};
use kvlease_testing::median;
use kvlease_types::Key;
use rustix::time::{ClockId, clock_gettime};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    runtime::Runtime,
};

const ROUNDS: usize = 15;
const CALLS: usize = 2_000;
const PUTS: usize = 6;
const PUT_LENS: [usize; 3] = [256 << 10, 4 << 20, 16 << 20];
const PIECE_LENS: [usize; 4] = [64 << 10, 256 << 10, 1 << 20, 16 << 20];

const LEASE: &str = r#"{"id":"AAAAAAAAAAAAAAAAAAAAAA","offsets":[{"offset":4096,"len":262144}],"ttl_s":30.0,"checksum":"00ff00ff00ff00ff","generation":17,"epoch":"00ff00ff00ff00ff"}"#;
const KEY: &str = "meta-llama/Llama-3.1-8B@8@3@-7d1f20c3a95be1f4@half";

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let peer = serve();
    measure_calls(&runtime, &peer);
    let daemon = env::var("KVLEASE_URL").unwrap_or(peer);
    measure_puts(&runtime, &daemon);
}

fn measure_calls(runtime: &Runtime, peer: &str) {
    let client = Client::new(ClientConfig::new(peer.parse().unwrap()));
    let key = Key::new(KEY).unwrap();
    let mut bare = runtime.block_on(tokio::net::TcpStream::connect(peer)).unwrap();
    bare.set_nodelay(true).unwrap();
    let mut rows = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        rows[0].push(cost(|| {
            runtime.block_on(async {
                for _ in 0..CALLS {
                    round_trip(&mut bare).await;
                }
            });
        }));
        rows[1].push(cost(|| {
            runtime.block_on(async {
                for _ in 0..CALLS / 2 {
                    let lease = client.lease(&key, Duration::ZERO, Duration::from_secs(30)).await;
                    lease.unwrap().unwrap().release().await.unwrap();
                }
            });
        }));
        rows[2].push(cost(|| {
            runtime.block_on(async {
                for _ in 0..CALLS {
                    client.head(&key).await.unwrap();
                }
            });
        }));
    }
    println!("{CALLS} calls one after the other, per call\n");
    println!("{:<18} {:>8} {:>8} {:>16}", "call", "cpu us", "wall us", "cpu, x bare");
    let bare = median(rows[0].iter().map(|(cpu, _)| *cpu));
    for (name, rows) in ["bare round trip", "lease, release", "head"].iter().zip(&rows) {
        let (cpu, wall) = (median(rows.iter().map(|r| r.0)), median(rows.iter().map(|r| r.1)));
        println!("{name:<18} {cpu:>8.2} {wall:>8.2} {:>16.2}", cpu / bare);
    }
}

fn measure_puts(runtime: &Runtime, daemon: &str) {
    println!("\nGB/s of puts (cpu ms/GB of the client), by the length of a piece\n");
    print!("{:<10}", "object");
    PIECE_LENS.iter().for_each(|len| print!(" {:>16}", format!("{} KiB", len >> 10)));
    println!();
    for len in PUT_LENS {
        let bytes = Bytes::from(vec![7; len]);
        let clients = PIECE_LENS.map(|piece_len| {
            let mut config = ClientConfig::new(daemon.parse().unwrap());
            config.put_piece_len = piece_len;
            Client::new(config)
        });
        let mut rows = [const { Vec::new() }; PIECE_LENS.len()];
        let puts = PUTS * (16 << 20) / len.max(4 << 20);
        for round in 0..ROUNDS {
            for (variant, client) in clients.iter().enumerate() {
                let keys: Vec<_> = (0..puts)
                    .map(|i| Key::new(format!("bench@{len}@{round}@{variant}@{i}")).unwrap())
                    .collect();
                let (cpu, wall) = cost(|| {
                    runtime.block_on(async {
                        for key in &keys {
                            client.put(key, bytes.clone()).await.unwrap();
                        }
                    });
                });
                runtime.block_on(async {
                    for key in &keys {
                        let _ = client.remove(key).await;
                    }
                });
                let total = (puts * len) as f64;
                let scale = CALLS as f64 * 1e-6;
                rows[variant].push((total / (wall * scale) / 1e9, cpu * scale * 1e12 / total));
            }
        }
        print!("{:<10}", format!("{} KiB", len >> 10));
        for row in &rows {
            let (rate, cpu) = (median(row.iter().map(|r| r.0)), median(row.iter().map(|r| r.1)));
            print!(" {:>16}", format!("{rate:.2} ({cpu:.0})"));
        }
        println!();
    }
}

/// Microseconds of the thread's processor time and of wall time, for each of [`CALLS`].
fn cost(work: impl FnOnce()) -> (f64, f64) {
    let cpu_now = || {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        now.tv_sec as f64 * 1e6 + now.tv_nsec as f64 / 1e3
    };
    let (cpu, wall) = (cpu_now(), Instant::now());
    work();
    let (cpu, wall) = (cpu_now() - cpu, wall.elapsed().as_secs_f64() * 1e6);
    (cpu / CALLS as f64, wall / CALLS as f64)
}

/// The bytes of a lease call, written and read without any client.
async fn round_trip(stream: &mut tokio::net::TcpStream) {
    let request = format!(
        "POST /v1/kv/lmcache/{KEY}/leases HTTP/1.1\r\nhost: 127.0.0.1:9200\r\n\
         user-agent: kvlease-client/0.2.0\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut buffer = [0; 4096];
    assert!(stream.read(&mut buffer).await.unwrap() > LEASE.len());
}

/// Answers on a free port until the process ends.
fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            thread::spawn(move || answer(stream));
        }
    });
    address
}

fn answer(mut stream: TcpStream) {
    stream.set_nodelay(true).unwrap();
    let headers = "content-type: application/json\r\nkvlease-checksum-xxh3: 00ff00ff00ff00ff\r\n\
                   date: Sun, 22 Nov 2026 20:00:00 GMT\r\n";
    let full = format!("HTTP/1.1 200 OK\r\n{headers}content-length: {}\r\n\r\n", LEASE.len());
    let mut reader = BufReader::with_capacity(1 << 20, stream.try_clone().unwrap());
    let mut line = String::new();
    loop {
        let (mut is_head, mut body_len) = (false, 0);
        loop {
            line.clear();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            is_head |= line.starts_with("HEAD ");
            if let Some(len) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
                body_len = len.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        std::io::copy(&mut reader.by_ref().take(body_len), &mut std::io::sink()).unwrap();
        let reply = if is_head { full.clone() } else { format!("{full}{LEASE}") };
        if stream.write_all(reply.as_bytes()).is_err() {
            return;
        }
    }
}
