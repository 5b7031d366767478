//! Reader that reads without a pause and without a lease, by the published index: while its daemon
//! works, after that was killed, and while the next one takes over.
//!
//! The mappings of killed daemons it goes on using, as any client may, next to those of the one that
//! serves.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use kvlease_testing::Draws;
use tokio::{runtime::Builder, time::sleep};

use super::{common::Common, gate::BUCKET};
use crate::clients::{Clients, Connector, Error, Place, Seen, Way, connector_config};

/// First party whose draws decide what readers read, counted down; clients count from 0.
const READERS: u64 = u64::MAX - (1 << 32);

/// Number of reads between two pauses, in which the reports of reads are sent.
const READS: usize = 8;
const PAUSE: Duration = Duration::from_millis(1);

/// Number of daemons whose mappings a reader has.
const SOURCES: usize = 3;

/// Limit of each part of a connector's call.
const WITHIN: Duration = Duration::from_secs(5);

/// Way of a reader to the objects of one daemon.
enum Source {
    /// The lane's index, and nothing else.
    Index(Box<Clients>),
    /// The connector, which asks the daemon for what the index does not name.
    Connector(Connector),
}

pub(super) struct Reader<'a> {
    common: &'a Common,
    number: usize,
    draws: Draws,
    /// The latest first.
    sources: Vec<Source>,
    buffer: Vec<u8>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(common: &'a Common, number: usize) -> Self {
        let draws = Draws::of(common.seed, READERS - number as u64);
        Self { common, number, draws, sources: Vec::new(), buffer: Vec::new() }
    }

    /// Reads until the gate ends.
    pub(super) fn run(mut self) -> anyhow::Result<()> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let (gate, mut last) = (&self.common.gate, 0);
            while !gate.has_ended() {
                if let Some((turn, place)) = gate.look().filter(|(turn, _)| *turn > last) {
                    match self.open(&place).await {
                        Ok(source) => self.sources.insert(0, source),
                        // It may have been killed meanwhile.
                        Err(_) if gate.look().is_none_or(|(now, _)| now > turn) => {}
                        Err(error) => return Err(error),
                    }
                    self.sources.truncate(SOURCES);
                    last = turn;
                }
                for _ in 0..READS {
                    self.read().await?;
                }
                sleep(PAUSE).await;
            }
            Ok(())
        })
    }

    /// Every other reader has a connector.
    async fn open(&self, place: &Place) -> anyhow::Result<Source> {
        if self.number.is_multiple_of(2) {
            let clients = Clients::open(place, BUCKET, Way::Lane).await?;
            return Ok(Source::Index(Box::new(clients)));
        }
        Ok(Source::Connector(Connector::new(connector_config(place, BUCKET, WITHIN)?)))
    }

    async fn read(&mut self) -> anyhow::Result<()> {
        let Common { objects, oracle, gate, by_index, .. } = self.common;
        if self.sources.is_empty() {
            return Ok(());
        }
        let index = objects.wanted(&mut self.draws);
        let source = self.draws.index(self.sources.len());
        let (before, key, is_dead) = (oracle.get(index), objects.key(index), gate.look().is_none());
        let seen = match &self.sources[source] {
            Source::Index(clients) => {
                let Some(found) = clients.find_indexed(key) else {
                    by_index.unnamed.fetch_add(1, Relaxed);
                    return Ok(());
                };
                found.read(&mut self.buffer)?
            }
            Source::Connector(connector) => {
                let hits = connector.stats().index_hits;
                let got = connector.get(key).await;
                by_index.connector_hits.fetch_add(connector.stats().index_hits - hits, Relaxed);
                match got {
                    Ok(Some(bytes)) => Seen::of(key, &bytes),
                    Err(Error::Corrupt { .. }) => Seen::WrongChecksum,
                    // The daemon of this connector may be dead.
                    Ok(None) | Err(_) => return Ok(()),
                }
            }
        };
        self.common.judge(index, &before, &seen, "by the index");
        if let (Seen::Version(_), Source::Index(_)) = (&seen, &self.sources[source]) {
            by_index.reads.fetch_add(1, Relaxed);
            by_index.while_dead.fetch_add(u64::from(is_dead), Relaxed);
        }
        Ok(())
    }
}
