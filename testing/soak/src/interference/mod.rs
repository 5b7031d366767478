//! Interference of the fast lane with HTTP: durations of HTTP calls alone, beside many connections
//! of the fast lane with mixed work, beside as many threads that only compute, and beside as many
//! more clients of HTTP.
//!
//! All clients are threads of this process and check every byte. Timed clients never pause.

mod busy_client;
mod http_client;
mod lane_client;
mod pause;
mod report;

pub use report::{InterferenceReport, Phase};

use std::{
    io, thread,
    time::{Duration, Instant},
};

use kvlease_harness::Daemon;
use kvlease_types::ByteSize;

use crate::{clients::Place, interrupt::Interrupt, launch::launch};
use http_client::HttpClient;
use lane_client::LaneClient;
use pause::BUCKET;
use report::Tally;

/// Duration of the other phases, as a part of the time beside the fast lane.
const OTHER_PHASES: u32 = 3;

/// Arguments of the measurement.
#[derive(Clone, Debug, clap::Args)]
pub struct InterferenceArgs {
    /// Connections of the fast lane, each with a client
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub lane_clients: u16,
    /// Clients of HTTP whose calls are timed
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub http_clients: u16,
    /// Pause of the clients beside them after each turn, in milliseconds
    #[arg(long, default_value_t = 0)]
    pub pause_ms: u64,
    /// Time beside the fast lane, in seconds; the other phases take a third of it each
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
/// A call that fails, a wrong byte, an interrupt.
pub fn run(args: &InterferenceArgs, seed: u64) -> anyhow::Result<InterferenceReport> {
    let interrupt = Interrupt::listen()?;
    let mut daemon = Daemon::start(launch(args.daemon.as_deref(), args.capacity, [])?)?;
    let place = Place::of(&daemon)?;
    let race = Race { place: &place, interrupt: &interrupt, args, seed };
    let beside = Duration::from_secs(args.seconds);
    let other = beside / OTHER_PHASES;
    let phases = vec![
        race.run(Load::None, other)?,
        race.run(Load::Lane, beside)?,
        race.run(Load::Busy, other)?,
        race.run(Load::Http, other)?,
    ];
    daemon.remove_all(BUCKET)?;
    let stats = daemon.stats()?;
    let status = daemon.terminate()?.code();
    Ok(InterferenceReport {
        seed,
        http_clients: args.http_clients.into(),
        load_clients: args.lane_clients.into(),
        phases,
        left_at_end: stats.leases + stats.writes + stats.objects,
        daemon_status: status,
    })
}

/// Load beside the timed clients.
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

/// State that the threads of all phases share.
#[derive(Clone, Copy)]
struct Race<'a> {
    place: &'a Place,
    interrupt: &'a Interrupt,
    args: &'a InterferenceArgs,
    seed: u64,
}

impl Race<'_> {
    /// Runs timed clients beside a load for a while.
    fn run(self, load: Load, span: Duration) -> anyhow::Result<Phase> {
        let timed = usize::from(self.args.http_clients);
        let more = usize::from(self.args.lane_clients);
        let end = if matches!(load, Load::None) { timed } else { timed + more };
        let until = Instant::now() + span;
        let (timed, beside) = thread::scope(|scope| -> anyhow::Result<_> {
            let start = |number: usize, load: Option<Load>| {
                let thread = thread::Builder::new().name(format!("client-{number}"));
                thread.spawn_scoped(scope, move || self.client(number, load, until))
            };
            let beside: io::Result<Vec<_>> =
                (timed..end).map(|number| start(number, Some(load))).collect();
            let timed: io::Result<Vec<_>> = (0..timed).map(|number| start(number, None)).collect();
            let (timed, beside) = (join(timed?), join(beside?));
            Ok((timed?, beside?))
        })?;
        self.interrupt.check()?;
        Ok(Phase::new(load.name(), span, timed, beside))
    }

    /// Work of one thread: of a timed client, or of one of the load.
    fn client(self, number: usize, load: Option<Load>, until: Instant) -> anyhow::Result<Tally> {
        let goes_on = || Instant::now() < until && self.interrupt.check().is_ok();
        let pause = Duration::from_millis(load.map_or(0, |_| self.args.pause_ms));
        let Self { place, seed, .. } = self;
        match load {
            Some(Load::Lane) => LaneClient::open(place, seed, number)?.work(pause, goes_on),
            Some(Load::Busy) => busy_client::work(seed, number, pause, goes_on),
            _ => HttpClient::open(place, seed, number)?.work(pause, goes_on),
        }
    }
}

fn join(
    threads: Vec<thread::ScopedJoinHandle<'_, anyhow::Result<Tally>>>,
) -> anyhow::Result<Vec<Tally>> {
    let panicked = |_| Err(anyhow::anyhow!("a client panicked"));
    threads.into_iter().map(|thread| thread.join().unwrap_or_else(panicked)).collect()
}
