//! Client of a world as the stock ones are.

use std::{net::SocketAddr, time::Duration};

use kvlease_harness::{Attaches, StockClient, StockRead};

use super::{
    calls::{Calls, Got, Put},
    shared::{BUCKET, Spell},
    versions::SEGMENTS,
};

/// Limit of each part of a request: its connect, each write and each read.
const PART: Duration = Duration::from_secs(1);

/// Time to live of its leases.
const TTL: Duration = Duration::from_secs(1);

/// Longest time of a call: a lease and its release, each with a connect, a write and some reads.
const LIMIT: Duration = Duration::from_secs(8);

/// Statuses of a store that has had no effect: the key is taken, or there is no space.
const REFUSED: [u16; 2] = [409, 507];

/// Client as the stock ones are, which knows the names of all segments.
pub(super) struct Stock {
    address: SocketAddr,
    names: [String; SEGMENTS],
    client: StockClient,
    /// Segment and life of its mapping.
    attached: (usize, u64),
}

impl Stock {
    pub(super) fn new(address: SocketAddr, names: [String; SEGMENTS]) -> Self {
        let client = StockClient::new(address, &names[0], Attaches::Once, PART);
        Self { address, names, client, attached: (0, 0) }
    }

    fn attach(&mut self, segment: usize, life: u64) {
        // Files are made anew only after all clients ended: this is another client then.
        let name = &self.names[segment];
        self.client = StockClient::new(self.address, name, Attaches::Once, PART);
        self.attached = (segment, life);
    }
}

impl Calls for Stock {
    fn limit(&self) -> Duration {
        LIMIT
    }

    fn anew(&mut self) -> anyhow::Result<()> {
        let (segment, life) = self.attached;
        self.attach(segment, life);
        Ok(())
    }

    fn put(&mut self, key: &str, bytes: Vec<u8>) -> Put {
        match self.client.put(BUCKET, key, &bytes) {
            Ok(200) => Put::Stored,
            Ok(status) if REFUSED.contains(&status) => Put::Refused,
            other => Put::Failed(format!("{other:?}")),
        }
    }

    fn get(&mut self, spell: Spell, key: &str) -> Got {
        if let Some(segment) = spell.segment
            && self.attached != (segment, spell.life)
        {
            self.attach(segment, spell.life);
        }
        match self.client.get(BUCKET, key, TTL) {
            Ok(StockRead::Bytes(bytes)) => Got::Bytes(bytes),
            Ok(StockRead::Absent) => Got::Absent,
            Ok(StockRead::Late) => Got::Late,
            other => Got::Failed(format!("{other:?}")),
        }
    }

    fn remove(&mut self, key: &str) -> bool {
        matches!(self.client.remove(BUCKET, key), Ok(200 | 404))
    }

    fn exists(&mut self, key: &str) -> Result<bool, String> {
        let status = self.client.exists(BUCKET, key).map_err(|error| error.to_string())?;
        Ok(status == 200)
    }

    fn maps_by_name(&self) -> bool {
        true
    }

    fn reads_without_asking(&self) -> bool {
        false
    }

    fn lack(&self) -> Option<String> {
        None
    }
}
