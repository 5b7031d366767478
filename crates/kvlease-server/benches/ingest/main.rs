//! Ways from the socket into the arena, side by side: what each costs the server in CPU time, and
//! how fast it is next to memcpy. `cargo bench -p kvlease-server --bench ingest`
//!
//! Each way receives the same uploads of 16 MiB over one loopback connection, checksums them, and
//! leaves them in memory that was faulted in before. The server has one thread, whose CPU time is
//! read from the system; the sender has another. Rounds go through all ways in turn; medians are
//! printed, next to a memcpy measured in the same rounds.

#![expect(clippy::unwrap_used, reason = "a benchmark that meets an error has no figures to print")]

mod ways;

use std::{
    hint::black_box,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{Sender, channel},
    thread,
    time::{Duration, Instant},
};

use kvlease_testing::median;
use rustix::time::{ClockId, clock_gettime};
use ways::{Place, WAYS, Way};

/// The size of one upload.
const UPLOAD: usize = 16 << 20;

/// Memory that uploads go to, one after the other, so that none finds its place in a cache.
const PLACE: usize = 128 << 20;

/// Uploads per way and round.
const UPLOADS: usize = 24;

const ROUNDS: usize = 7;

fn main() {
    let running: Vec<_> = WAYS.iter().map(Running::start).collect();
    let source = source();
    let mut target = vec![1_u8; UPLOAD];
    let mut figures = vec![Vec::new(); WAYS.len()];
    let mut copies = Vec::new();
    for round in 0..=ROUNDS {
        let started = Instant::now();
        for upload in pieces(&source) {
            target.copy_from_slice(black_box(upload));
            black_box(&mut target);
        }
        let copy = rate(started.elapsed());
        for (way, figures) in running.iter().zip(&mut figures) {
            let figure = way.measure(&source);
            // The first round warms up.
            if round > 0 {
                figures.push((figure.0 / copy, figure.0, figure.1));
            }
        }
        if round > 0 {
            copies.push(copy);
        }
    }
    println!("memcpy {:.2} GB/s; medians of {ROUNDS} rounds", median(copies));
    println!("{:<46} {:>6} {:>9} {:>9}", "way", "GB/s", "of memcpy", "CPU ms/GB");
    for (way, figures) in WAYS.iter().zip(figures) {
        let of = |pick: fn(&(f64, f64, f64)) -> f64| median(figures.iter().map(pick));
        println!("{:<46} {:>6.2} {:>9.2} {:>9.0}", way.name, of(|f| f.1), of(|f| f.0), of(|f| f.2));
    }
}

/// One way's server, and a connection to it.
struct Running {
    stream: TcpStream,
    cpu: Sender<Sender<Duration>>,
}

impl Running {
    fn start(way: &'static Way) -> Self {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let (cpu, asked) = channel::<Sender<Duration>>();
        thread::spawn(move || {
            // Between uploads the server answers what CPU time its thread has used.
            let report = move || {
                while let Ok(answer) = asked.try_recv() {
                    answer.send(thread_cpu()).unwrap();
                }
            };
            (way.serve)(listener, Place::new(PLACE), UPLOAD, Box::new(report));
        });
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, cpu }
    }

    /// GB/s, and CPU ms per GB.
    fn measure(&self, source: &[u8]) -> (f64, f64) {
        let before = self.cpu_time(source);
        let started = Instant::now();
        for upload in pieces(source) {
            self.put(upload);
        }
        let rate = rate(started.elapsed());
        // The upload that asks for the time is one more.
        let used = self.cpu_time(source) - before;
        let uploads = (UPLOADS + 1) as f64;
        (rate, used.as_secs_f64() * 1e3 / (uploads * UPLOAD as f64 / 1e9))
    }

    fn cpu_time(&self, source: &[u8]) -> Duration {
        let (answer, time) = channel();
        self.cpu.send(answer).unwrap();
        self.put(&source[..UPLOAD]);
        time.recv().unwrap()
    }

    fn put(&self, body: &[u8]) {
        let mut stream = &self.stream;
        write!(stream, "PUT / HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len())
            .unwrap();
        stream.write_all(body).unwrap();
        let mut reply = [0; 4096];
        let mut filled = 0;
        while !reply[..filled].ends_with(b"\r\n\r\n") {
            filled += stream.read(&mut reply[filled..]).unwrap();
        }
        assert!(reply.starts_with(b"HTTP/1.1 200"), "the upload was refused");
    }
}

fn source() -> Vec<u8> {
    let mut state = 1_u64;
    let next = move || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(8 * UPLOAD).collect()
}

fn pieces(source: &[u8]) -> impl Iterator<Item = &[u8]> {
    source.chunks_exact(UPLOAD).cycle().take(UPLOADS)
}

fn rate(elapsed: Duration) -> f64 {
    (UPLOADS * UPLOAD) as f64 / elapsed.as_secs_f64() / 1e9
}

fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
