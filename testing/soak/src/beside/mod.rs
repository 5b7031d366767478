//! Whether clients of the fast lane starve those of HTTP: how long HTTP calls take alone, beside
//! many connections of the fast lane with mixed work, beside as many threads that only compute, and
//! beside as many more clients of HTTP.
//!
//! All clients are threads of this process and check every byte. Those that are timed never pause.

mod busy_client;
mod http_client;
mod lane_client;
mod report;

pub use report::{BesideReport, Phase};

use std::{
    io, thread,
    time::{Duration, Instant},
};

use kvlease_client::ByteSize;

use crate::{Daemon, daemon::daemon_spec, interrupt::Interrupt};
use http_client::HttpClient;
use lane_client::LaneClient;
use report::Tally;

/// The bucket of all objects.
const BUCKET: &str = "beside";

/// How long HTTP clients work alone, and beside more of their own kind, as a part of the time that
/// they work beside the fast lane.
const OTHER_PHASES: u32 = 3;

/// What it is told.
#[derive(Clone, Debug, clap::Args)]
pub struct BesideArgs {
    /// Connections of the fast lane, each with a client
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub lane_clients: u16,
    /// Clients of HTTP whose calls are timed
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub http_clients: u16,
    /// How long the clients beside them pause after each turn, in milliseconds
    #[arg(long, default_value_t = 0)]
    pub pause_ms: u64,
    /// How long they work beside each other, in seconds
    #[arg(long, default_value_t = 60)]
    pub seconds: u64,
    /// Seed of lengths and choices [default: another one each time]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Size of the arena
    #[arg(long, default_value = "256MiB")]
    pub capacity: ByteSize,
    /// The `kvlease` executable [default: the one beside this]
    #[arg(long, env = "KVLEASE_BIN")]
    pub daemon: Option<std::path::PathBuf>,
}

/// Measures the phases, one after the other.
///
/// # Errors
///
/// Whatever keeps a client from going on: a call that fails, a wrong byte, an interrupt.
pub fn run(args: &BesideArgs, seed: u64) -> anyhow::Result<BesideReport> {
    let interrupt = Interrupt::listen()?;
    let spec = daemon_spec(args.daemon.as_deref(), args.capacity, vec!["log.level=warn".into()])?;
    let mut daemon = Daemon::start(spec)?;
    let beside = Duration::from_secs(args.seconds);
    let other = beside / OTHER_PHASES;
    let (timed, more) = (usize::from(args.http_clients), usize::from(args.lane_clients));
    let pause = Duration::from_millis(args.pause_ms);
    let race = |load, span| {
        let race = Race { daemon: &daemon, interrupt: &interrupt, seed, timed, load, more, pause };
        race.run(span)
    };
    let phases = vec![
        race(Load::None, other)?,
        race(Load::Lane, beside)?,
        race(Load::Busy, other)?,
        race(Load::Http, other)?,
    ];
    daemon.remove_all(BUCKET)?;
    let stats = daemon.stats()?;
    let status = daemon.terminate()?.code();
    Ok(BesideReport {
        seed,
        http_clients: timed,
        load_clients: more,
        phases,
        left_at_end: stats.leases + stats.writes + stats.objects,
        daemon_status: status,
    })
}

/// What goes on beside the clients that are timed.
#[derive(Clone, Copy, Debug)]
enum Load {
    None,
    Lane,
    Busy,
    Http,
}

impl Load {
    const fn name(self) -> &'static str {
        match self {
            Self::None => "alone",
            Self::Lane => "beside the fast lane",
            Self::Busy => "beside busy threads",
            Self::Http => "beside more HTTP",
        }
    }
}

/// So many HTTP clients that are timed, and so many of the load.
#[derive(Clone, Copy)]
struct Race<'a> {
    daemon: &'a Daemon,
    interrupt: &'a Interrupt,
    seed: u64,
    timed: usize,
    load: Load,
    more: usize,
    pause: Duration,
}

impl Race<'_> {
    /// Lets them work for a while.
    fn run(self, span: Duration) -> anyhow::Result<Phase> {
        let more = if matches!(self.load, Load::None) { 0 } else { self.more };
        let until = Instant::now() + span;
        let (timed, beside) = thread::scope(|scope| -> anyhow::Result<_> {
            let start = |number: usize, is_load: bool| {
                let thread = thread::Builder::new().name(format!("beside-{number}"));
                thread.spawn_scoped(scope, move || self.client(number, is_load, until))
            };
            let numbers = self.timed..self.timed + more;
            let beside: io::Result<Vec<_>> = numbers.map(|number| start(number, true)).collect();
            let timed: io::Result<Vec<_>> =
                (0..self.timed).map(|number| start(number, false)).collect();
            let (timed, beside) = (join(timed?), join(beside?));
            Ok((timed?, beside?))
        })?;
        self.interrupt.check()?;
        Ok(Phase::new(self.load.name(), span, timed, beside))
    }

    /// What one thread does.
    fn client(self, number: usize, is_load: bool, until: Instant) -> anyhow::Result<Tally> {
        let goes_on = || Instant::now() < until && self.interrupt.check().is_ok();
        let Self { daemon, seed, .. } = self;
        let pause = if is_load { self.pause } else { Duration::ZERO };
        match self.load {
            Load::Lane if is_load => LaneClient::open(daemon, seed, number)?.work(pause, goes_on),
            Load::Busy if is_load => busy_client::work(seed, number, pause, goes_on),
            _ => HttpClient::open(daemon, seed, number)?.work(pause, goes_on),
        }
    }
}

fn join(
    threads: Vec<thread::ScopedJoinHandle<'_, anyhow::Result<Tally>>>,
) -> anyhow::Result<Vec<Tally>> {
    let panicked = |_| Err(anyhow::anyhow!("a client panicked"));
    threads.into_iter().map(|thread| thread.join().unwrap_or_else(panicked)).collect()
}

/// What a client does between two turns. No pause is not even a call to the system.
fn rest(pause: Duration) {
    if !pause.is_zero() {
        thread::sleep(pause);
    }
}
