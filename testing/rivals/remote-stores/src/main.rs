//! Rates of kvlease's remote tiers, next to those of the same libraries' own clients in the same run.
//!
//! `remote-stores S3_SERVER [ROUNDS [STORE]]`, where `S3_SERVER` is the program that `cargo xtask stores`
//! installs. It starts this server and `redis-server`, on the loopback interface, and ends them. `STORE` is
//! `Redis` or `S3` for one of both.
//!
//! In a round the library and the tier take turns: each puts the objects of a turn and then gets them,
//! [`UNDER_WAY`] at a time. The tier reads from shared memory and writes into it, with its header and its
//! checksum; the library sends bytes that it has, and gets bytes of its own. The ratio is the median of
//! the rounds' ratios, with the lowest and the highest of them.

#[path = "../../arena.rs"]
mod arena;
mod library;
mod servers;
mod tier;

use std::{env, error::Error, ops::Range, time::Instant};

use futures_util::{StreamExt, TryStreamExt, future::BoxFuture, stream};
use kvlease_testing::{median, processors};
use rustix::time::{ClockId, clock_gettime};

pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

const MIB: usize = 1 << 20;

/// Sizes of objects.
const SIZES: [usize; 3] = [MIB, 4 * MIB, 16 * MIB];

/// Bytes of a turn.
pub(crate) const TURN: usize = 128 * MIB;

/// Objects that are under way at a time.
const UNDER_WAY: usize = 4;

/// Rounds, unless the command line says how many.
const ROUNDS: usize = 7;

/// A client of a store.
pub(crate) trait Client {
    /// Puts the object of this number.
    fn put(&self, number: usize, size: usize) -> BoxFuture<'_, Outcome<()>>;

    /// Gets it.
    fn get(&self, number: usize, size: usize) -> BoxFuture<'_, Outcome<()>>;

    /// Removes it, for the room.
    fn remove(&self, number: usize, size: usize) -> BoxFuture<'_, Outcome<()>>;
}

/// Seconds of a turn, and processor seconds of this process meanwhile.
struct Turn {
    seconds: f64,
    cpu: f64,
}

fn main() -> Outcome<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    let (s3_server, rounds, only) = match &words[..] {
        [server] => (server, ROUNDS, None),
        [server, rounds] => (server, rounds.parse()?, None),
        [server, rounds, only] => (server, rounds.parse()?, Some(only.as_str())),
        _ => return Err("usage: remote-stores S3_SERVER [ROUNDS [STORE]]".into()),
    };
    let is_wanted = |store| only.is_none_or(|only| only == store);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    println!("{}; medians of {rounds} rounds; rates in GB/s", processors());
    println!("[tier / library: median, lowest to highest], CPU of the client in ms/GB\n");
    runtime.block_on(async {
        if is_wanted("Redis") {
            let valkey = servers::valkey()?;
            let url = format!("redis://127.0.0.1:{}", valkey.port);
            let library = library::Valkey::open(&url).await?;
            compare("Redis", &tier::Tiered::open(&url, None)?, &library, rounds).await?;
        }
        if !is_wanted("S3") {
            return Ok(());
        }
        let s3 = servers::s3(s3_server)?;
        let endpoint = format!("http://127.0.0.1:{}", s3.server.port);
        let url = format!("s3://{}?endpoint={endpoint}&region=test", servers::BUCKET);
        let library = library::S3::open(&endpoint)?;
        compare("S3", &tier::Tiered::open(&url, Some(servers::access_key()))?, &library, rounds)
            .await
    })
}

async fn compare(
    store: &str,
    tier: &dyn Client,
    library: &dyn Client,
    rounds: usize,
) -> Outcome<()> {
    println!("{store:<8} {:>34}  {:>34}", "put", "get");
    for size in SIZES {
        let mut turns: [Vec<Turn>; 4] = Default::default();
        // The first round warms up.
        for round in 0..=rounds {
            let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
            for which in order {
                let client = if which == 0 { tier } else { library };
                for (what, is_put) in [true, false].into_iter().enumerate() {
                    let turn = turn(client, size, round, is_put).await?;
                    if round > 0 {
                        turns[2 * what + which].push(turn);
                    }
                }
                for number in numbers(size, round) {
                    client.remove(number, size).await?;
                }
            }
        }
        let [put, library_put, get, library_get] = turns;
        let size = format!("{} MiB", size / MIB);
        println!("{size:>8} {}  {}", row(&put, &library_put), row(&get, &library_get));
    }
    println!();
    Ok(())
}

/// Numbers of the objects of a round, which no other round has.
fn numbers(size: usize, round: usize) -> Range<usize> {
    let count = TURN / size;
    round * count..(round + 1) * count
}

async fn turn(client: &dyn Client, size: usize, round: usize, is_put: bool) -> Outcome<Turn> {
    let (began, cpu) = (Instant::now(), cpu_seconds());
    let calls = numbers(size, round).map(|number| match is_put {
        true => client.put(number, size),
        false => client.get(number, size),
    });
    let all = stream::iter(calls).buffer_unordered(UNDER_WAY);
    all.try_for_each(|()| async { Ok(()) }).await?;
    Ok(Turn { seconds: began.elapsed().as_secs_f64(), cpu: cpu_seconds() - cpu })
}

fn row(tier: &[Turn], library: &[Turn]) -> String {
    let gigabytes = TURN as f64 / 1e9;
    let rate = gigabytes / median(tier.iter().map(|turn| turn.seconds));
    let ratios: Vec<f64> =
        tier.iter().zip(library).map(|(tier, library)| library.seconds / tier.seconds).collect();
    let (least, most) = ratios
        .iter()
        .fold((f64::MAX, 0_f64), |(least, most), ratio| (least.min(*ratio), most.max(*ratio)));
    let cpu = |turns: &[Turn]| median(turns.iter().map(|turn| turn.cpu)) * 1e3 / gigabytes;
    format!(
        "{rate:5.2} [{:4.2} {least:4.2}-{most:4.2}] {:4.0} ({:4.0})",
        median(ratios),
        cpu(tier),
        cpu(library)
    )
}

fn cpu_seconds() -> f64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}
