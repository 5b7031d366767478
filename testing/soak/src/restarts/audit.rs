//! Looking at every key while nobody works: what is there, and whether it is right.

use std::time::Duration;

use super::{
    common::Common,
    session::{Seen, Session, Way},
};
use crate::soak::Count;

/// How many objects are leased together.
const BATCH: usize = 16;

/// Every so many keys is read over HTTP as well.
const FETCH_EVERY: usize = 8;

/// How often an object is leased at most whose copy takes longer than its lease.
const TRIES_MAX: usize = 20;

/// What was found.
#[derive(Default, Debug)]
pub(super) struct Audit {
    /// Objects that are there, with right bytes.
    pub(super) found: u64,
    /// Keys that were to have an object unless it was evicted, and have none.
    pub(super) missing: Vec<usize>,
    /// Stores that were cut off and are there, and that are not.
    pub(super) stores: [u64; 2],
    /// Removals that were cut off and are done, and that are not.
    pub(super) removals: [u64; 2],
}

impl Audit {
    /// Looks at all keys. From here on the book says what was found.
    pub(super) async fn of(common: &Common, session: &Session) -> anyhow::Result<Self> {
        let mut auditor = Auditor { common, session, buffer: Vec::new(), audit: Self::default() };
        let indices: Vec<_> = (0..common.objects.count()).collect();
        for batch in indices.chunks(BATCH) {
            auditor.look_at(batch).await?;
        }
        Ok(auditor.audit)
    }
}

struct Auditor<'a> {
    common: &'a Common,
    session: &'a Session,
    buffer: Vec<u8>,
    audit: Audit,
}

impl Auditor<'_> {
    async fn look_at(&mut self, indices: &[usize]) -> anyhow::Result<()> {
        let keys = indices.iter().map(|index| self.common.objects.key(*index).clone());
        let keys: Vec<_> = keys.collect();
        let (wait, ttl) = (Duration::ZERO, self.common.ttl_max);
        let leases = self.session.lease(Way::Lane, &keys, wait, ttl).await?;
        for (leased, index) in leases.into_iter().zip(indices) {
            let mut seen = match leased {
                Some(leased) => leased.look(&mut self.buffer)?,
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
        let lease = self.session.lease(Way::Http, keys, Duration::ZERO, self.common.ttl_max);
        match lease.await?.pop().flatten() {
            Some(leased) => leased.look(&mut self.buffer),
            None => Ok(Seen::Absent),
        }
    }

    async fn fetch(&mut self, index: usize, leased: &Seen) -> anyhow::Result<()> {
        let fetched = self.session.fetch(self.common.objects.key(index), &mut self.buffer).await?;
        if fetched != *leased && *leased != Seen::Late {
            let how = format!("leased=`{leased:?}` fetched=`{fetched:?}`");
            self.common.fault(index, "HTTP and a lease differ", &how);
        }
        Ok(())
    }

    /// Compares what is there with what must be and may be.
    fn settle(&mut self, index: usize, seen: Seen) {
        let Common { book, counts, .. } = self.common;
        let entry = book.get(index);
        let found = match seen {
            Seen::Version(version) => {
                if !entry.may_be(version) {
                    let how = format!("after a restart, version=`{version}` known=`{entry:?}`");
                    self.common.fault(index, "an object that cannot be there", &how);
                }
                self.audit.found += 1;
                counts.add(Count::BytesVerified, self.buffer.len() as u64);
                Some(version)
            }
            Seen::Absent => {
                if entry.is_promised() {
                    self.audit.missing.push(index);
                }
                None
            }
            Seen::Late => {
                self.common.faults.add(format!("no lease is long enough, number=`{index}`"));
                return;
            }
            Seen::Wrong(wrong) => {
                self.common.fault(index, &wrong, &format!("after a restart, known=`{entry:?}`"));
                None
            }
        };
        let cut_off = book.settle(index, found);
        let Audit { stores, removals, .. } = &mut self.audit;
        for (counts, done) in [(stores, cut_off.store), (removals, cut_off.removal)] {
            if let Some(done) = done {
                counts[usize::from(!done)] += 1;
            }
        }
    }
}
