//! Audit: a look at every key while no client works.

use std::time::Duration;

use kvlease_harness::oracle::KeyState;

use super::common::Common;
use crate::{
    clients::{Clients, Seen, Way},
    counts::Count,
};

/// Number of objects that are leased together.
const BATCH: usize = 16;

/// Interval of the keys that are read over HTTP as well.
const FETCH_EVERY: usize = 8;

/// Most leases of an object whose copy takes longer than its lease.
const TRIES_MAX: usize = 20;

/// Result of an audit.
#[derive(Default, Debug)]
pub(super) struct Audit {
    /// Objects that are there, with right bytes.
    pub(super) found: u64,
    /// Keys without an object whose object was evicted or lost.
    pub(super) missing: Vec<usize>,
    /// Stores that were cut off: there, not there.
    pub(super) stores: [u64; 2],
    /// Removals that were cut off: done, not done.
    pub(super) removals: [u64; 2],
}

impl Audit {
    /// Audit of all keys, whose result the oracle takes over.
    pub(super) async fn of(common: &Common, clients: &Clients) -> anyhow::Result<Self> {
        let mut auditor = Auditor { common, clients, buffer: Vec::new(), audit: Self::default() };
        let indices: Vec<_> = (0..common.objects.count()).collect();
        for batch in indices.chunks(BATCH) {
            auditor.look_at(batch).await?;
        }
        Ok(auditor.audit)
    }
}

struct Auditor<'a> {
    common: &'a Common,
    clients: &'a Clients,
    buffer: Vec<u8>,
    audit: Audit,
}

impl Auditor<'_> {
    async fn look_at(&mut self, indices: &[usize]) -> anyhow::Result<()> {
        let keys = indices.iter().map(|index| self.common.objects.key(*index).clone());
        let keys: Vec<_> = keys.collect();
        let (wait, ttl) = (Duration::ZERO, self.common.ttl_max);
        let leases = self.clients.lease(Way::Lane, &keys, wait, ttl).await?;
        for (leased, index) in leases.into_iter().zip(indices) {
            let mut seen = match leased {
                Some(leased) => leased.read(&mut self.buffer)?,
                None => Seen::Absent,
            };
            let mut tries = 1;
            while seen == Seen::Late && tries < TRIES_MAX {
                seen = self.look_again(*index).await?;
                tries += 1;
            }
            if index % FETCH_EVERY == 0 {
                self.fetch(*index, &seen).await?;
            }
            self.settle(*index, seen);
        }
        Ok(())
    }

    async fn look_again(&mut self, index: usize) -> anyhow::Result<Seen> {
        let keys = std::slice::from_ref(self.common.objects.key(index));
        let lease = self.clients.lease(Way::Http, keys, Duration::ZERO, self.common.ttl_max);
        match lease.await?.pop().flatten() {
            Some(leased) => leased.read(&mut self.buffer),
            None => Ok(Seen::Absent),
        }
    }

    async fn fetch(&mut self, index: usize, leased: &Seen) -> anyhow::Result<()> {
        let fetched = self.clients.fetch(self.common.objects.key(index), &mut self.buffer).await?;
        if fetched != *leased && *leased != Seen::Late {
            let how = format!("leased=`{leased:?}` fetched=`{fetched:?}`");
            self.common.fault(index, "HTTP and a lease differ", &how);
        }
        Ok(())
    }

    /// Compares the object that is there with those that must and may be.
    fn settle(&mut self, index: usize, seen: Seen) {
        let Common { oracle, counts, .. } = self.common;
        let state = oracle.get(index);
        let found = match seen {
            Seen::Version(version) => {
                if !state.may_be(version) {
                    let how = format!("after a restart, version=`{version}` state=`{state:?}`");
                    self.common.fault(index, "an object that cannot be there", &how);
                }
                self.audit.found += 1;
                counts.add(Count::BytesVerified, self.buffer.len() as u64);
                Some(version)
            }
            Seen::Absent => {
                if state.is_promised() {
                    self.audit.missing.push(index);
                }
                None
            }
            Seen::Late => {
                self.common.faults.add(format!("no lease is long enough, number=`{index}`"));
                return;
            }
            wrong @ (Seen::WrongBytes(_) | Seen::WrongChecksum) => {
                self.common.fault(
                    index,
                    &wrong.to_string(),
                    &format!("after a restart, state=`{state:?}`"),
                );
                None
            }
        };
        let cut_off = oracle.update(index, |state: &mut KeyState| state.settle(found));
        let Audit { stores, removals, .. } = &mut self.audit;
        for (counts, done) in [(stores, cut_off.store), (removals, cut_off.removal)] {
            if let Some(done) = done {
                counts[usize::from(!done)] += 1;
            }
        }
    }
}
