//! Native client of a world.

use std::{net::SocketAddr, time::Duration};

use kvlease_client::{
    BucketName, ClientConfig, ConnectorConfig, Key, PutOutcome, SocketChoice, Timeouts, blocking,
};
use kvlease_harness::Endpoint;

use super::{
    calls::{Calls, Got, Put},
    shared::{BUCKET, Spell},
};

/// Limits of the parts of a call.
const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_millis(500),
    call: Duration::from_secs(1),
    transfer: Duration::from_secs(2),
    stall: Duration::from_secs(1),
};

/// Longest wait for a pending object.
const WAIT: Duration = Duration::from_millis(200);

/// Time to live of its leases.
const TTL: Duration = Duration::from_secs(1);

/// Longest time of a call: opening the lane, a call over it, and the same over HTTP.
const LIMIT: Duration = Duration::from_secs(5);

/// Native client.
pub(super) struct Native {
    config: ConnectorConfig,
    connector: blocking::Connector,
}

impl Native {
    /// Client that takes the fast lane where it can.
    pub(super) fn over_lane(address: SocketAddr, segment: &str) -> anyhow::Result<Self> {
        Self::new(address, segment, SocketChoice::Announced)
    }

    /// Client that uses HTTP alone.
    pub(super) fn over_http(address: SocketAddr, segment: &str) -> anyhow::Result<Self> {
        Self::new(address, segment, SocketChoice::Never)
    }

    fn new(address: SocketAddr, segment: &str, socket: SocketChoice) -> anyhow::Result<Self> {
        let mut config = ClientConfig::new(Endpoint::at(address).url().parse()?);
        config.bucket = BucketName::new(BUCKET)?;
        config.shared_memory_name = Some(segment.parse()?);
        config.timeouts = TIMEOUTS;
        let mut config = ConnectorConfig::new(config);
        config.lease_wait = WAIT;
        config.lease_ttl = TTL;
        config.socket = socket;
        let connector = blocking::Connector::new(config.clone())?;
        Ok(Self { config, connector })
    }

    fn wants_lane(&self) -> bool {
        self.config.socket != SocketChoice::Never
    }
}

fn name(key: &str) -> Key {
    Key::new(key).expect("keys of a world are valid names")
}

impl Calls for Native {
    fn limit(&self) -> Duration {
        LIMIT
    }

    fn anew(&mut self) -> anyhow::Result<()> {
        self.connector = blocking::Connector::new(self.config.clone())?;
        Ok(())
    }

    fn put(&mut self, key: &str, bytes: Vec<u8>) -> Put {
        match self.connector.put(&name(key), bytes) {
            Ok(PutOutcome::Stored) => Put::Stored,
            // It may be the client's own, by an attempt before that was not answered.
            other => Put::Failed(format!("{other:?}")),
        }
    }

    fn get(&mut self, _spell: Spell, key: &str) -> Got {
        match self.connector.get(&name(key)) {
            Ok(Some(bytes)) => Got::Bytes(bytes),
            Ok(None) => Got::Absent,
            Err(error) => Got::Failed(format!("{error:?}")),
        }
    }

    fn remove(&mut self, key: &str) -> bool {
        let removed = self.connector.batched_remove(&[name(key)]);
        removed.is_ok_and(|removed| removed.iter().all(Result::is_ok))
    }

    fn exists(&mut self, key: &str) -> Result<bool, String> {
        self.connector.exists(&name(key)).map_err(|error| format!("{error:?}"))
    }

    fn maps_by_name(&self) -> bool {
        false
    }

    fn reads_without_asking(&self) -> bool {
        self.wants_lane()
    }

    fn lack(&self) -> Option<String> {
        let is_slow = self.wants_lane() && !self.connector.as_async().is_fast();
        is_slow.then(|| "the fast lane".to_owned())
    }
}
