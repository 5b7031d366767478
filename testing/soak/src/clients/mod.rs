//! Adapter to kvlease's client libraries: the one folder of the programs that knows them.
//!
//! It gives them leases and removals that are the same over HTTP and over the fast lane, and reads
//! that check every byte.

mod connector;
mod leased;
mod place;

use std::{sync::Arc, time::Duration};

use anyhow::{Context, bail, ensure};
use kvlease_client::{
    Client, TrustedUsers,
    lane::{AcquireOutcome, LaneRemoval},
};
use kvlease_types::{BucketName, Key};

use crate::limits::CALL_WITHIN;
use connector::client_config;
use leased::Grant;

pub(crate) use connector::connector_config;
pub(crate) use kvlease_client::{
    Connector, Error, ErrorCode, ExternalBuffer, PutBody, PutOutcome, blocking,
    lane::{Lane, LanePut, Reservation},
};
pub(crate) use leased::{Leased, Seen};
pub(crate) use place::Target;
pub use place::{Place, Way};

/// Result of a removal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Removal {
    Removed,
    Absent,
    /// The object is pending.
    Busy,
}

/// Clients of one daemon process.
#[derive(Debug)]
pub(crate) struct Clients {
    pub(crate) http: Client,
    lane: Option<Lane>,
}

impl Clients {
    /// Clients over HTTP and, unless HTTP is the only way, over the fast lane.
    pub(crate) async fn open(place: &Place, bucket: &str, way: Way) -> anyhow::Result<Self> {
        let config = client_config(place, bucket, CALL_WITHIN)?;
        let bucket = BucketName::new(bucket)?;
        let lane = match way {
            Way::Http => None,
            Way::Lane => {
                let open = Lane::open(
                    &place.socket,
                    bucket,
                    true,
                    TrustedUsers::default(),
                    1,
                    CALL_WITHIN,
                );
                let lane = open.await.context("the fast lane")?;
                let has_index =
                    lane.open_index(CALL_WITHIN).await.context("the published index")?;
                ensure!(has_index, "the daemon passes no published index");
                Some(lane)
            }
        };
        Ok(Self { http: Client::new(config), lane })
    }

    /// The fast lane.
    pub(crate) fn lane(&self) -> anyhow::Result<&Lane> {
        self.lane.as_ref().context("these clients use HTTP alone")
    }

    /// Leases of objects; `None` for each that is absent.
    pub(crate) async fn lease(
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
                    let (arena, key) = (self.http.attach()?, key.clone());
                    let leased = |lease| Leased { key, grant: Grant::Http(lease), arena };
                    leases.push(lease.map(leased));
                }
            }
            Way::Lane => {
                let lane = self.lane()?;
                let found = lane.acquire(keys, false, wait, ttl, CALL_WITHIN).await?;
                for (found, key) in found.into_iter().zip(keys) {
                    let (arena, key) = (Arc::clone(lane.attachment()), key.clone());
                    leases.push(match found {
                        AcquireOutcome::Leased(lease) => {
                            Some(Leased { key, grant: Grant::Lane(lease), arena })
                        }
                        AcquireOutcome::StillWriting | AcquireOutcome::Absent => None,
                        AcquireOutcome::Full => bail!("the daemon is at a limit of leases"),
                    });
                }
            }
        }
        Ok(leases)
    }

    /// Object that the published index names and that can be read without a lease.
    pub(crate) fn find_indexed(&self, key: &Key) -> Option<Leased> {
        let lane = self.lane.as_ref()?;
        let (arena, object) = (Arc::clone(lane.attachment()), lane.find_indexed(key)?);
        Some(Leased { key: key.clone(), grant: Grant::Indexed(object), arena })
    }

    /// Reads an object over HTTP into the buffer.
    pub(crate) async fn fetch(&self, key: &Key, buffer: &mut Vec<u8>) -> anyhow::Result<Seen> {
        let Some(mut stream) = self.http.get(key).await? else { return Ok(Seen::Absent) };
        buffer.clear();
        while let Some(piece) = stream.next().await? {
            buffer.extend_from_slice(&piece);
        }
        Ok(Seen::of(key, buffer))
    }

    /// Asks whether there is an object.
    pub(crate) async fn exists(&self, way: Way, key: &Key) -> anyhow::Result<bool> {
        Ok(match way {
            Way::Http => self.http.head(key).await?.is_some(),
            Way::Lane => {
                let keys = std::slice::from_ref(key);
                self.lane()?.exists(keys, false, CALL_WITHIN).await? == [true]
            }
        })
    }

    /// Removes an object.
    pub(crate) async fn remove(&self, way: Way, key: &Key) -> anyhow::Result<Removal> {
        let removed = match way {
            Way::Http => match self.http.remove(key).await {
                Err(Error::Refused { code: Some(ErrorCode::Exists), .. }) => {
                    return Ok(Removal::Busy);
                }
                removed => removed?,
            },
            Way::Lane => {
                let keys = std::slice::from_ref(key);
                let removed = self.lane()?.remove(keys, CALL_WITHIN).await?;
                match removed.first().context("a removal has an outcome")? {
                    LaneRemoval::Removed => true,
                    LaneRemoval::Absent => false,
                    LaneRemoval::Again => return Ok(Removal::Busy),
                }
            }
        };
        Ok(if removed { Removal::Removed } else { Removal::Absent })
    }
}
