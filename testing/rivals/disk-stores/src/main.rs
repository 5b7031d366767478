//! A store on disk that follows the orders of [`disk.py`](../../disk.py): `disk-stores STORE DIRECTORY`.
//!
//! Orders are lines, `put SIZE FIRST COUNT` and `get SIZE FIRST COUNT`. Each is answered by `ok SECONDS
//! CPU_SECONDS`: the time of all objects together, and the processor time of this whole process meanwhile.

#[path = "../../arena.rs"]
mod arena;
mod device;
mod foyer_store;
mod tier;

use std::{
    env,
    error::Error,
    io::{self, BufRead, Write},
    path::Path,
    time::Instant,
};

use rustix::time::{ClockId, clock_gettime};

pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

/// Bytes of the objects that are under way at a time.
const UNDER_WAY: usize = 64 << 20;

/// Room of a store, for what the rounds of one size put and more. `disk.py` fills it once.
pub(crate) const CAPACITY: u64 = 3 << 30;

/// Bytes of a turn, all of which are in memory.
pub(crate) const TURN: usize = 256 << 20;

/// A store on disk.
pub(crate) trait Store {
    fn greeting(&self) -> String;

    /// Gets ready for the puts of a turn, behind the clock.
    fn prepare(&mut self, _size: usize, _first: usize, _count: usize) -> Outcome<()> {
        Ok(())
    }

    fn put(&mut self, size: usize, first: usize, count: usize) -> Outcome<()>;
    fn get(&mut self, size: usize, first: usize, count: usize) -> Outcome<()>;
}

fn main() -> Outcome<()> {
    serve().inspect_err(|error| println!("error {}", error.to_string().replace('\n', " ")))
}

fn serve() -> Outcome<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    let [name, directory] = &words[..] else { return Err("usage: disk-stores STORE DIR".into()) };
    let directory = Path::new(directory);
    let mut store: Box<dyn Store> = match name.as_str() {
        "device" => Box::new(device::Device::open(directory)?),
        "kvlease" => Box::new(tier::Tiered::open(directory)?),
        "foyer" => Box::new(foyer_store::Foyer::open(directory, false)?),
        "foyer-uring" => Box::new(foyer_store::Foyer::open(directory, true)?),
        _ => return Err(format!("there is no such store, name=`{name}`").into()),
    };
    println!("ok {}", store.greeting());
    for line in io::stdin().lock().lines() {
        let line = line?;
        let order: Vec<&str> = line.split_whitespace().collect();
        let [what, size, first, count] = order[..] else {
            return Err(format!("an order has four words, order=`{line}`").into());
        };
        let (size, first, count) = (size.parse()?, first.parse()?, count.parse()?);
        if what == "put" {
            store.prepare(size, first, count)?;
        }
        let (began, cpu) = (Instant::now(), cpu_seconds());
        match what {
            "put" => store.put(size, first, count)?,
            "get" => store.get(size, first, count)?,
            _ => return Err(format!("there is no such order, order=`{line}`").into()),
        }
        println!("ok {:.6} {:.6}", began.elapsed().as_secs_f64(), cpu_seconds() - cpu);
        io::stdout().flush()?;
    }
    Ok(())
}

fn cpu_seconds() -> f64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// Objects that are under way at a time.
pub(crate) fn at_a_time(size: usize) -> usize {
    (UNDER_WAY / size).max(2)
}
