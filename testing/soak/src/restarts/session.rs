//! Reading from one daemon, with every byte checked.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, bail};
use kvlease_client::{
    Attachment, BucketName, Client, ClientConfig, Key, Timeouts,
    lane::{Found, Lane},
};

use super::{BUCKET, gate::Place};
use crate::{Payload, soak::grant::Grant};

/// How long a call may take before the daemon counts as stuck.
pub(super) const CALL_WITHIN: Duration = Duration::from_secs(60);

/// How a lease comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    Http,
    Lane,
}

/// What was read of a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Seen {
    /// The whole of this version.
    Version(u64),
    /// There is no object.
    Absent,
    /// The lease ended before the copy did: it says nothing.
    Late,
    /// Anything else.
    Wrong(String),
}

/// Connections to one incarnation of the daemon.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) http: Client,
    pub(super) lane: Lane,
}

impl Session {
    pub(super) async fn open(place: &Place) -> anyhow::Result<Self> {
        let bucket = BucketName::new(BUCKET)?;
        let mut config = ClientConfig::new(place.url.parse()?);
        config.bucket = bucket.clone();
        config.shared_memory_name = Some(place.segment.clone());
        config.timeouts =
            Timeouts { connect: CALL_WITHIN, call: CALL_WITHIN, transfer: CALL_WITHIN };
        let lane = Lane::open(&place.socket, bucket, true, 1, CALL_WITHIN);
        let lane = lane.await.context("the fast lane")?;
        Ok(Self { http: Client::new(config), lane })
    }

    /// Leases objects; `None` for each that is not there.
    pub(super) async fn lease(
        &self,
        way: Way,
        keys: &[Key],
        wait: Duration,
        ttl: Duration,
    ) -> anyhow::Result<Vec<Option<Leased>>> {
        let mut leases = Vec::with_capacity(keys.len());
        match way {
            Way::Http => {
                for key in keys {
                    let lease = self.http.lease(key, wait, ttl).await?;
                    let arena = self.http.attach()?;
                    let key = key.clone();
                    let leased = |lease| Leased { key, grant: Grant::Http(lease), arena };
                    leases.push(lease.map(leased));
                }
            }
            Way::Lane => {
                let found = self.lane.acquire(keys, false, wait, ttl, CALL_WITHIN).await?;
                for (found, key) in found.into_iter().zip(keys) {
                    let (arena, key) = (Arc::clone(self.lane.attachment()), key.clone());
                    leases.push(match found {
                        Found::Leased(lease) => {
                            Some(Leased { key, grant: Grant::Lane(lease), arena })
                        }
                        Found::Absent => None,
                        Found::Full => bail!("the daemon is at a limit of leases"),
                    });
                }
            }
        }
        Ok(leases)
    }

    /// Reads an object over HTTP.
    pub(super) async fn fetch(&self, key: &Key, buffer: &mut Vec<u8>) -> anyhow::Result<Seen> {
        let Some(mut stream) = self.http.get(key).await? else { return Ok(Seen::Absent) };
        buffer.clear();
        while let Some(piece) = stream.next().await? {
            buffer.extend_from_slice(&piece);
        }
        Ok(Seen::of(key, buffer))
    }
}

impl Seen {
    fn of(key: &Key, bytes: &[u8]) -> Self {
        match Payload::verify(key.as_str(), bytes) {
            Ok(version) => Self::Version(version),
            Err(wrong) => Self::Wrong(format!("wrong bytes, {wrong}")),
        }
    }
}

/// A lease, and the mapping that it is about.
#[derive(Debug)]
pub(super) struct Leased {
    key: Key,
    grant: Grant,
    arena: Arc<Attachment>,
}

impl Leased {
    /// Copies the object and checks it. What was copied counts only if the lease lives afterwards,
    /// by this side's own clock.
    pub(super) fn look(&self, buffer: &mut Vec<u8>) -> anyhow::Result<Seen> {
        buffer.resize(self.grant.len().bytes() as usize, 0);
        let checksum = self.arena.copy_out_digested(self.grant.extents(), buffer)?;
        if !self.grant.is_live() {
            return Ok(Seen::Late);
        }
        let seen = Seen::of(&self.key, buffer);
        if matches!(seen, Seen::Version(_)) && self.grant.checksum() != Some(checksum) {
            return Ok(Seen::Wrong("another checksum than the daemon's".to_owned()));
        }
        Ok(seen)
    }

    pub(super) async fn release(self) -> anyhow::Result<()> {
        self.grant.release().await
    }
}
