//! One row of the table of transfers: rounds of memcpy, put, and read, in turn.

use std::{io, iter::zip, time::Duration};

use kvlease_client::{Attachment, Extent, LeaseReply};

use super::{
    buffers::{Buffers, Source, Target},
    clients::together,
    cpu,
    figures::{gb_per_s, median},
    plan::Cell,
    report::TransferRow,
    session::Session,
    wire::{Connection, expect, failed},
};
use crate::failure::Failure;

/// Figures of one round, in GB/s and in milliseconds per GB.
struct Round {
    memcpy: f64,
    put: f64,
    put_cpu: Option<f64>,
    read: Option<f64>,
}

/// Measures the row.
pub(super) fn measure(
    session: &Session,
    cell: Cell,
    buffers: &mut Buffers,
) -> Result<TransferRow, Failure> {
    let mut connections = session.connect(cell.clients)?;
    let (source, mut targets) = buffers.split(cell.clients);
    let mut rounds = Vec::with_capacity(session.rounds);
    for number in 0..=session.rounds {
        session.check_interrupted()?;
        let work = Work { session, cell, source, number };
        let round = work.round(&mut connections, &mut targets);
        // Also after a failure: the objects are this run's own.
        let removed = work.remove(&mut connections);
        let round = round.map_err(failed)?;
        removed.map_err(failed)?;
        // The first round warms up page tables, connections and the daemon's buffers.
        if number > 0 {
            rounds.push(round);
        }
    }
    Ok(summarize(cell, &rounds))
}

/// A round to be.
#[derive(Clone, Copy)]
struct Work<'a> {
    session: &'a Session,
    cell: Cell,
    source: Source<'a>,
    number: usize,
}

impl Work<'_> {
    fn round(
        self,
        connections: &mut [Connection],
        targets: &mut [Target<'_>],
    ) -> io::Result<Round> {
        let bytes = self.cell.round_len();
        let memcpy = gb_per_s(bytes, self.memcpy(targets)?);
        let cpu = || self.session.daemon_pid().and_then(cpu::used);
        let before = cpu();
        let put = gb_per_s(bytes, self.put(connections)?);
        let put_cpu = before.zip(cpu()).map(|(before, after)| {
            let used = after.saturating_sub(before);
            used.as_secs_f64() * 1e3 / (bytes as f64 / 1e9)
        });
        let read = match &self.session.attachment {
            Some(attachment) => Some(self.read(attachment, connections, targets)?),
            None => None,
        };
        Ok(Round { memcpy, put, put_cpu, read: read.map(|wall| gb_per_s(bytes, wall)) })
    }

    fn memcpy(self, targets: &mut [Target<'_>]) -> io::Result<Duration> {
        let len = self.len();
        let copied = together(targets, |client, target| {
            for number in self.objects() {
                let source = self.source.object(client, number, len);
                // For slices of bytes this is libc's memcpy.
                target.object(number, len).copy_from_slice(source);
            }
            Ok(())
        })?;
        Ok(copied.0)
    }

    fn put(self, connections: &mut [Connection]) -> io::Result<Duration> {
        let stored = together(connections, |client, connection| {
            for number in self.objects() {
                let object = self.source.object(client, number, self.len());
                connection.put(&self.path(client, number), object)?;
            }
            Ok(())
        })?;
        Ok(stored.0)
    }

    fn read(
        self,
        attachment: &Attachment,
        connections: &mut [Connection],
        targets: &mut [Target<'_>],
    ) -> io::Result<Duration> {
        let read = together(zip(connections, targets), |client, (connection, target)| {
            for number in self.objects() {
                let path = format!("{}/leases", self.path(client, number));
                let lease: LeaseReply = connection.json("POST", &path)?;
                let extents: Vec<Extent> = lease.offsets.iter().map(|run| (*run).into()).collect();
                let into = target.object(number, self.len());
                attachment.copy_out(&extents, into).map_err(io::Error::other)?;
                let path = format!("/v1/leases/{}/release", lease.id);
                expect(connection.call("POST", &path)?.status, 200, "POST", &path)?;
            }
            Ok(())
        })?;
        Ok(read.0)
    }

    fn remove(self, connections: &mut [Connection]) -> io::Result<()> {
        together(connections, |client, connection| {
            for number in self.objects() {
                connection.call("DELETE", &self.path(client, number))?;
            }
            Ok(())
        })?;
        Ok(())
    }

    /// The numbers of a client's objects, which go on from round to round so that the buffers
    /// rotate.
    fn objects(self) -> std::ops::Range<usize> {
        self.number * self.cell.objects..(self.number + 1) * self.cell.objects
    }

    fn path(self, client: usize, number: usize) -> String {
        let Cell { size, clients, .. } = self.cell;
        format!("{}-{size}-{clients}-{client}-{number}", self.session.path_prefix)
    }

    fn len(self) -> usize {
        // It fits into the memory, as the plan has checked.
        self.cell.size.bytes() as usize
    }
}

fn summarize(cell: Cell, rounds: &[Round]) -> TransferRow {
    let of = |figure: &dyn Fn(&Round) -> Option<f64>| {
        median(&rounds.iter().filter_map(figure).collect::<Vec<_>>())
    };
    TransferRow {
        size: cell.size.bytes(),
        clients: cell.clients,
        objects_per_round: cell.objects * cell.clients,
        memcpy_gb_per_s: of(&|round| Some(round.memcpy)).unwrap_or_default(),
        put_gb_per_s: of(&|round| Some(round.put)).unwrap_or_default(),
        put_ratio: of(&|round| Some(round.put / round.memcpy)).unwrap_or_default(),
        put_daemon_cpu_ms_per_gb: of(&|round| round.put_cpu),
        read_gb_per_s: of(&|round| round.read),
        read_ratio: of(&|round| Some(round.read? / round.memcpy)),
    }
}
