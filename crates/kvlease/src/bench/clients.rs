//! Clients that work at the same time, one thread each.

use std::{
    io,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

/// Runs `work` once for each client at the same time, and returns how long it took from the first
/// one's start to the last one's end, with what each of them made.
pub(super) fn together<C: Send, T: Send>(
    clients: impl IntoIterator<Item = C>,
    work: impl Fn(usize, C) -> io::Result<T> + Sync,
) -> io::Result<(Duration, Vec<T>)> {
    let clients: Vec<C> = clients.into_iter().collect();
    let start = Barrier::new(clients.len());
    let run = |number, client| {
        start.wait();
        let started = Instant::now();
        let made = work(number, client)?;
        Ok((started, Instant::now(), made))
    };
    let ended: io::Result<Vec<(Instant, Instant, T)>> = thread::scope(|scope| {
        let run = &run;
        let threads: Vec<_> = clients
            .into_iter()
            .enumerate()
            .map(|(number, client)| scope.spawn(move || run(number, client)))
            .collect();
        let panicked = "a client fails with an error and never panics";
        threads.into_iter().map(|thread| thread.join().expect(panicked)).collect()
    });
    let ended = ended?;
    let first = ended.iter().map(|(started, ..)| *started).min();
    let last = ended.iter().map(|(_, ended, _)| *ended).max();
    let wall = first.zip(last).map_or(Duration::ZERO, |(first, last)| last - first);
    Ok((wall, ended.into_iter().map(|(.., made)| made).collect()))
}
