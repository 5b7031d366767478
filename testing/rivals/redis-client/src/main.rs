//! A client of Redis that follows the orders of [`worker.py`](../../worker.py) and times each call.

use std::{
    env,
    error::Error,
    io::{self, BufRead, Write},
    time::Instant,
};

use redis::{Client, Commands, Connection};

/// As in `worker.py`: several times as much as a cache of the processor holds.
const POOL_BYTES: usize = 192 << 20;

const GREETING: &str = "the crate redis 1.8, which returns a new vector";

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    serve().inspect_err(|error| println!("error {}", error.to_string().replace('\n', " ")))
}

fn serve() -> Outcome<()> {
    let socket = env::args().nth(1).ok_or("usage: redis-client SOCKET")?;
    let mut connection = Client::open(format!("redis+unix://{socket}"))?.get_connection()?;
    let source = source();
    println!("ok {GREETING}");
    for line in io::stdin().lock().lines() {
        let seconds = follow(&mut connection, &source, &line?)?;
        let printed: Vec<_> = seconds.iter().map(|seconds| format!("{seconds:.9}")).collect();
        println!("ok {}", printed.join(" "));
        io::stdout().flush()?;
    }
    Ok(())
}

/// Does what the line says; returns the seconds of each call that was to be timed.
fn follow(connection: &mut Connection, source: &[u8], line: &str) -> Outcome<Vec<f64>> {
    let words: Vec<_> = line.split_whitespace().collect();
    let [what, size, first, count] = words[..] else {
        return Err(format!("an order has four words, order=`{line}`").into());
    };
    let (size, first, count) = (size.parse()?, first.parse()?, count.parse::<usize>()?);
    let mut seconds = Vec::with_capacity(count);
    for number in first..first + count {
        let key = format!("object-{number}");
        let stored = buffer(source, size, number);
        match what {
            "put" => seconds.push(put(connection, &key, stored)?),
            "get" => seconds.push(get(connection, &key)?.0),
            "verify" if get(connection, &key)?.1 != stored => {
                return Err(format!("a copy is not what was stored, key=`{key}`").into());
            }
            "verify" => {}
            "remove" => connection.del(&key)?,
            _ => return Err(format!("there is no such order, order=`{line}`").into()),
        }
    }
    Ok(seconds)
}

fn put(connection: &mut Connection, key: &str, stored: &[u8]) -> Outcome<f64> {
    let started = Instant::now();
    let () = connection.set(key, stored)?;
    Ok(started.elapsed().as_secs_f64())
}

/// The time and the copy, which is freed behind the clock.
fn get(connection: &mut Connection, key: &str) -> Outcome<(f64, Vec<u8>)> {
    let started = Instant::now();
    let found: Option<Vec<u8>> = connection.get(key)?;
    let seconds = started.elapsed().as_secs_f64();
    let found = found.ok_or_else(|| format!("there is no such object, key=`{key}`"))?;
    Ok((seconds, found))
}

fn buffer(pool: &[u8], size: usize, number: usize) -> &[u8] {
    let start = number % (POOL_BYTES / size) * size;
    &pool[start..start + size]
}

/// The bytes that are stored, of a xorshift generator: as good as random.
fn source() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..POOL_BYTES / 8).flat_map(|_| next()).collect()
}
