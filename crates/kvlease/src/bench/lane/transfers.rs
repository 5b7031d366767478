//! Rates of objects that are copied out of the arena and into it, alone and in batches, next to
//! memcpy of the same round.

use std::{
    io,
    ops::Range,
    time::{Duration, Instant},
};

use kvlease_client::Key;

use super::{
    super::{
        buffers::{Buffers, Source, Target},
        cpu,
        figures::{gb_per_s, median},
        plan::LaneCell,
        session::Session,
        wire::failed,
    },
    client::{LaneClient, LanePosts},
    report::LaneTransferRow,
};
use crate::failure::Failure;

/// Figures of one round, in GB/s, milliseconds per GB and microseconds a key.
struct Round {
    memcpy: f64,
    put: f64,
    put_cpu: Option<f64>,
    /// Put without waiting for the answers, one by one.
    post: Option<f64>,
    get: f64,
    /// Get by the published index, without a lease.
    read: f64,
    /// The same into memory that is not at a cache line.
    unaligned_read: f64,
    /// Get by the published index by a client that never read before.
    first_read: f64,
    view_us: f64,
}

/// Measures the row.
pub(super) fn measure(
    session: &Session,
    client: &LaneClient,
    cell: LaneCell,
    buffers: &mut Buffers,
) -> Result<LaneTransferRow, Failure> {
    let (source, mut targets) = buffers.split(1);
    let target = &mut targets[0];
    let mut rounds = Vec::with_capacity(session.rounds);
    for number in 0..=session.rounds {
        session.check_interrupted()?;
        let numbers = number * cell.objects..(number + 1) * cell.objects;
        let keys = client.keys("move", numbers.clone());
        let newcomer = client.again()?;
        let work =
            Work { session, client, newcomer: &newcomer, cell, source, numbers, keys: &keys };
        let round = work.round(target);
        // Also after a failure: the objects are this run's own.
        let removed = client.remove(&keys);
        let round = round.map_err(failed)?;
        removed.map_err(failed)?;
        // The first round warms up page tables.
        if number > 0 {
            rounds.push(round);
        }
    }
    Ok(summarize(cell, &rounds))
}

/// A round to be.
struct Work<'a> {
    session: &'a Session,
    client: &'a LaneClient,
    /// A client whose mapping of the arena has no pages yet.
    newcomer: &'a LaneClient,
    cell: LaneCell,
    source: Source<'a>,
    /// The numbers of the objects, which go on from round to round so that the buffers rotate.
    numbers: Range<usize>,
    keys: &'a [Key],
}

impl Work<'_> {
    fn round(&self, target: &mut Target<'_>) -> io::Result<Round> {
        let bytes = self.cell.size.bytes() * self.cell.objects as u64;
        let memcpy = gb_per_s(bytes, self.memcpy(target));
        let before = self.cpu();
        let put = gb_per_s(bytes, timed(|| self.put())?);
        let put_cpu = before.zip(self.cpu()).map(|(before, after)| {
            after.saturating_sub(before).as_secs_f64() * 1e3 / (bytes as f64 / 1e9)
        });
        let post = match self.cell.batch {
            1 => {
                self.client.remove(self.keys)?;
                Some(gb_per_s(bytes, timed(|| self.post())?))
            }
            _ => None,
        };
        let get = gb_per_s(bytes, timed(|| self.get(target))?);
        let read = gb_per_s(bytes, timed(|| self.read(self.client, target))?);
        let unaligned_read = gb_per_s(bytes, timed(|| self.read_unaligned(target))?);
        let first_read = gb_per_s(bytes, timed(|| self.read(self.newcomer, target))?);
        let viewed = timed(|| self.view())?;
        let view_us = viewed.as_secs_f64() * 1e6 / self.cell.objects as f64;
        Ok(Round { memcpy, put, put_cpu, post, get, read, unaligned_read, first_read, view_us })
    }

    fn memcpy(&self, target: &mut Target<'_>) -> Duration {
        let (len, started) = (self.len(), Instant::now());
        for number in self.numbers.clone() {
            // For slices of bytes this is libc's memcpy.
            target.object(number, len).copy_from_slice(self.source.object(0, number, len));
        }
        started.elapsed()
    }

    fn put(&self) -> io::Result<()> {
        let (len, mut number) = (self.len(), self.numbers.start);
        for batch in self.keys.chunks(self.cell.batch) {
            self.client.put(batch, len, |place| self.source.object(0, number + place, len))?;
            number += batch.len();
        }
        Ok(())
    }

    fn post(&self) -> io::Result<()> {
        let (len, posts) = (self.len(), LanePosts::default());
        for (number, key) in self.numbers.clone().zip(self.keys) {
            self.client.post(key, self.source.object(0, number, len), &posts)?;
        }
        self.client.flush(&posts)
    }

    fn get(&self, target: &mut Target<'_>) -> io::Result<()> {
        let mut number = self.numbers.start;
        for batch in self.keys.chunks(self.cell.batch) {
            for lease in self.client.acquire(batch)? {
                self.client.copy(&lease, target.object(number, self.len()))?;
                number += 1;
            }
        }
        Ok(())
    }

    fn read(&self, client: &LaneClient, target: &mut Target<'_>) -> io::Result<()> {
        let len = self.len();
        let mut keys = self.numbers.clone().zip(self.keys);
        keys.try_for_each(|(number, key)| client.read(key, target.object(number, len)))
    }

    fn read_unaligned(&self, target: &mut Target<'_>) -> io::Result<()> {
        let len = self.len();
        let mut keys = self.numbers.clone().zip(self.keys);
        keys.try_for_each(|(number, key)| {
            self.client.read(key, target.unaligned_object(number, len))
        })
    }

    fn view(&self) -> io::Result<()> {
        self.keys.chunks(self.cell.batch).try_for_each(|batch| self.client.view(batch).map(drop))
    }

    /// The processor time of both sides, if the daemon's process is known.
    fn cpu(&self) -> Option<Duration> {
        Some(cpu::used(self.session.daemon_pid()?)? + cpu::used_here())
    }

    fn len(&self) -> usize {
        // It fits into the memory, as the plan has checked.
        self.cell.size.bytes() as usize
    }
}

fn timed(work: impl FnOnce() -> io::Result<()>) -> io::Result<Duration> {
    let started = Instant::now();
    work()?;
    Ok(started.elapsed())
}

fn summarize(cell: LaneCell, rounds: &[Round]) -> LaneTransferRow {
    let of = |figure: &dyn Fn(&Round) -> Option<f64>| {
        median(&rounds.iter().filter_map(figure).collect::<Vec<_>>())
    };
    let all = |figure: &dyn Fn(&Round) -> f64| of(&|round| Some(figure(round))).unwrap_or_default();
    LaneTransferRow {
        size: cell.size.bytes(),
        batch: cell.batch,
        objects_per_round: cell.objects,
        memcpy_gb_per_s: all(&|round| round.memcpy),
        get_gb_per_s: all(&|round| round.get),
        get_ratio: all(&|round| round.get / round.memcpy),
        index_get_ratio: all(&|round| round.read / round.memcpy),
        unaligned_get_ratio: all(&|round| round.unaligned_read / round.memcpy),
        first_get_ratio: all(&|round| round.first_read / round.read),
        put_gb_per_s: all(&|round| round.put),
        put_ratio: all(&|round| round.put / round.memcpy),
        post_ratio: of(&|round| round.post.map(|post| post / round.memcpy)),
        put_cpu_ms_per_gb: of(&|round| round.put_cpu),
        view_us_per_key: all(&|round| round.view_us),
    }
}
