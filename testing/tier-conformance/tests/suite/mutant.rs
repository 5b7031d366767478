//! Tiers with one planted fault each.

use std::{
    collections::HashMap,
    mem,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use kvlease_sys::Digest;
use kvlease_tier::{
    Answer, Destination, Loaded, Name, Object, Page, Presence, Source, Stat, Stored, Tier,
    TierError, Usage,
};
use kvlease_tier_conformance::MemoryTier;
use kvlease_types::{BucketName, ByteSize, Key};
use tokio::time;

use crate::memory_store::SECRET;

/// Planted fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    WrongLastByte,
    EmptyIsAbsent,
    BytesOfAnother,
    LosesLastPiece,
    CompletesUnverified,
    IgnoresExpectedStat,
    ForgetsRemoval,
    RemovesFirstOnly,
    RemovalEndsWithTheTier,
    FindReversed,
    FindForgetsRepeats,
    FindByPrefix,
    FailsOnEmpty,
    PresenceDenies,
    PresenceRemembers,
    TakesAnySource,
    KeepsChangedSource,
    RemovesBeforeStore,
    PublishesEarly,
    PresentForOtherBytes,
    FailsWhenPresent,
    OneStoreAtATime,
    ListRepeats,
    ListIgnoresPrefix,
    ListIgnoresBucket,
    KeepsDestinations,
    ClearsWhenCancelled,
    TakesTooLarge,
    CountsNothing,
    IgnoresCapacity,
    WorksAfterClose,
    LosesAtClose,
    LosesWithoutClose,
    BlocksItsCaller,
    AbsentWhenStopped,
    BlamesTheTier,
    KeepsCorrupt,
    AcknowledgesWhenFull,
    JoinsNames,
    FoldsCase,
    EndsNamesAtNul,
    TrimsSlashes,
    CutsLongNames,
    EmptyPlace,
    ShowsSecret,
}

/// State that outlives the tier: objects that come back, and how the store is.
#[derive(Default, Debug)]
pub(crate) struct Grave {
    removed: Vec<(Object, Arc<[u8]>)>,
    was_closed: bool,
    pub(crate) is_slow: bool,
    pub(crate) is_stopped: bool,
}

/// Tier with a planted fault.
#[derive(Debug)]
pub(crate) struct Mutant {
    tier: MemoryTier,
    fault: Fault,
    stats: Mutex<HashMap<Name, Stat>>,
    stores: AtomicUsize,
    is_closed: AtomicBool,
    grave: Arc<Mutex<Grave>>,
}

impl Mutant {
    pub(crate) fn open(tier: MemoryTier, fault: Fault, grave: Arc<Mutex<Grave>>) -> Self {
        let tier = if fault == Fault::TakesTooLarge { tier.with_len_max(u64::MAX) } else { tier };
        let server = Arc::clone(tier.server());
        {
            let mut grave = grave.lock().unwrap();
            for (object, bytes) in mem::take(&mut grave.removed) {
                server.insert(&object, bytes);
            }
            if fault == Fault::LosesWithoutClose && !grave.was_closed {
                server.names().iter().for_each(|name| drop(server.forget(name)));
            }
            grave.was_closed = false;
        }
        Self {
            tier,
            fault,
            stats: Mutex::default(),
            stores: AtomicUsize::new(0),
            is_closed: AtomicBool::new(false),
            grave,
        }
    }

    fn is_stopped(&self) -> bool {
        self.fault == Fault::AbsentWhenStopped && self.grave.lock().unwrap().is_stopped
    }

    /// The name under which a tier that mistakes names keeps an object.
    fn name(&self, bucket: &str, key: &str) -> Name {
        let (bucket, key) = match self.fault {
            Fault::JoinsNames => ("all".to_owned(), format!("{bucket}/{key}")),
            Fault::FoldsCase => (bucket.to_owned(), key.to_lowercase()),
            Fault::EndsNamesAtNul => (until_nul(bucket), until_nul(key)),
            Fault::TrimsSlashes => (bucket.to_owned(), format!("{}/", key.trim_end_matches('/'))),
            Fault::CutsLongNames => (bucket.to_owned(), key.chars().take(100).collect()),
            _ => (bucket.to_owned(), key.to_owned()),
        };
        let (bucket, key) = (BucketName::new(bucket), Key::new(key));
        Name { bucket: bucket.unwrap(), key: key.unwrap() }
    }

    async fn deliver(
        &self,
        name: &Name,
        stat: Stat,
        destination: Box<dyn Destination>,
    ) -> Result<Loaded, TierError> {
        let stored = self.tier.server().bytes(name);
        if self.fault == Fault::AbsentWhenStopped {
            time::sleep(Duration::from_millis(50)).await;
        }
        if self.is_stopped() || self.fault == Fault::EmptyIsAbsent && stat.len == ByteSize::ZERO {
            return Ok(Loaded::Absent);
        }
        if self.fault == Fault::BlocksItsCaller && self.grave.lock().unwrap().is_slow {
            thread::sleep(Duration::from_secs(1));
            return Ok(Loaded::Absent);
        }
        let bytes = match (self.fault, &stored) {
            (Fault::WrongLastByte, Some(bytes)) => with_last(bytes, 1),
            (Fault::LosesLastPiece, Some(bytes)) if bytes.len() > 1 << 20 => {
                with_last(bytes, bytes.len() % (1 << 20))
            }
            (Fault::CompletesUnverified | Fault::IgnoresExpectedStat, Some(bytes)) => {
                bytes.to_vec()
            }
            (Fault::BytesOfAnother, Some(bytes)) => self.bytes_of_another(name, bytes),
            _ => return self.deliver_right(name, stat, destination).await,
        };
        Ok(write_unverified(bytes, stat, destination))
    }

    async fn deliver_right(
        &self,
        name: &Name,
        stat: Stat,
        destination: Box<dyn Destination>,
    ) -> Result<Loaded, TierError> {
        let destination: Box<dyn Destination> = match self.fault {
            Fault::KeepsDestinations => Box::new(Kept(Some(destination))),
            _ => destination,
        };
        let bytes = self.tier.server().bytes(name);
        let loaded = self.tier.load(name, stat, destination).await;
        match (loaded, self.fault, bytes) {
            (Err(TierError::Corrupt { .. }), Fault::BlamesTheTier, _) => {
                Err(TierError::Unavailable("wrong bytes".into()))
            }
            (Err(error @ TierError::Corrupt { .. }), Fault::KeepsCorrupt, Some(bytes)) => {
                self.tier.server().insert(&Object { name: name.clone(), stat }, bytes);
                Err(error)
            }
            (loaded, ..) => loaded,
        }
    }

    fn bytes_of_another(&self, name: &Name, bytes: &Arc<[u8]>) -> Vec<u8> {
        let server = self.tier.server();
        let others = server.names().into_iter().filter(|other| other != name);
        let mut others = others.filter_map(|other| server.bytes(&other));
        others.find(|other| other.len() == bytes.len()).unwrap_or_else(|| bytes.clone()).to_vec()
    }

    async fn take(&self, object: &Object, source: Box<dyn Source>) -> Result<Stored, TierError> {
        let server = self.tier.server();
        let Object { name, stat } = object;
        let is_there = server.bytes(name).is_some();
        let zeros = || vec![0; stat.len.bytes() as usize].into();
        match self.fault {
            Fault::PresentForOtherBytes if is_there => return Ok(Stored::Present),
            Fault::FailsWhenPresent if is_there => return Err(TierError::Full),
            Fault::RemovesBeforeStore => drop(server.forget(name)),
            Fault::PublishesEarly if !is_there => {
                server.insert(object, zeros());
                time::sleep(Duration::from_millis(3)).await;
                return match self.grave.lock().unwrap().is_stopped {
                    true => Err(TierError::Unavailable("it is stopped".into())),
                    false => self.take_unverified(object, source),
                };
            }
            Fault::TakesAnySource | Fault::IgnoresCapacity => {
                return self.take_unverified(object, source);
            }
            _ => {}
        }
        if self.fault == Fault::OneStoreAtATime {
            time::sleep(Duration::from_millis(3)).await;
            if self.stores.load(Ordering::SeqCst) > 1 {
                return Err(TierError::Full);
            }
        }
        let stored = self.tier.store(object, source).await;
        match (&stored, self.fault) {
            (Err(TierError::SourceChanged(_)), Fault::KeepsChangedSource) => {
                server.insert(object, zeros());
            }
            (Err(TierError::Full), Fault::AcknowledgesWhenFull) => {
                return Ok(Stored::Written(stat.len));
            }
            _ => {}
        }
        self.stats.lock().unwrap().insert(name.clone(), *stat);
        stored
    }

    fn take_unverified(
        &self,
        object: &Object,
        mut source: Box<dyn Source>,
    ) -> Result<Stored, TierError> {
        let mut bytes = vec![0; object.stat.len.bytes() as usize];
        source.read(&mut bytes, None)?;
        self.tier.server().insert(object, bytes.into());
        Ok(Stored::Written(object.stat.len))
    }

    async fn erase(&self, bucket: &str, keys: &[&str]) -> Result<Vec<bool>, TierError> {
        let server = self.tier.server();
        match self.fault {
            Fault::ForgetsRemoval => return Ok(vec![true; keys.len()]),
            Fault::FailsOnEmpty if keys.is_empty() => return Err(TierError::Full),
            Fault::RemovesFirstOnly => {
                self.tier.remove(bucket, &keys[..keys.len().min(1)]).await?;
                return Ok(vec![true; keys.len()]);
            }
            Fault::RemovalEndsWithTheTier => {
                for key in keys {
                    let name = self.name(bucket, key);
                    let stat = self.tier.find(bucket, &[key]).await?[0];
                    if let (Some(stat), Some(bytes)) = (stat, server.bytes(&name)) {
                        let object = Object { name, stat };
                        self.grave.lock().unwrap().removed.push((object, bytes));
                    }
                }
            }
            _ => {}
        }
        let mut removed = Vec::new();
        for key in keys {
            let name = self.name(bucket, key);
            let one = self.tier.remove(name.bucket.as_str(), &[name.key.as_str()]).await?;
            removed.extend(one);
        }
        Ok(removed)
    }

    async fn look_up(&self, bucket: &str, keys: &[&str]) -> Result<Vec<Option<Stat>>, TierError> {
        let mut cancelled = Clears(self, self.fault == Fault::ClearsWhenCancelled);
        if self.is_stopped() {
            return Ok(vec![None; keys.len()]);
        }
        if self.fault == Fault::FailsOnEmpty && keys.is_empty() {
            return Err(TierError::Full);
        }
        let mut found = Vec::new();
        for key in keys {
            let name = self.name(bucket, key);
            found.extend(self.tier.find(name.bucket.as_str(), &[name.key.as_str()]).await?);
        }
        match self.fault {
            Fault::FindReversed => found.reverse(),
            Fault::FindForgetsRepeats => {
                for at in (1..keys.len()).filter(|at| keys[..*at].contains(&keys[*at])) {
                    found[at] = None;
                }
            }
            Fault::FindByPrefix => {
                for (key, found) in keys.iter().zip(&mut found) {
                    let page = self.tier.list(bucket, key, None, 1).await?;
                    let other = page.objects.first().map(|listed| listed.key.as_str().to_owned());
                    if let (None, Some(other)) = (&found, other) {
                        *found = self.tier.find(bucket, &[&other]).await?[0];
                    }
                }
            }
            _ => {}
        }
        cancelled.1 = false;
        Ok(found)
    }

    async fn page(
        &self,
        bucket: &str,
        prefix: &str,
        from: Option<&str>,
        limit: usize,
    ) -> Result<Page, TierError> {
        let buckets = ["bucket", "other"];
        let is_known = buckets.contains(&bucket);
        match self.fault {
            Fault::ListIgnoresBucket if !is_known => {
                self.tier.list(buckets[0], prefix, from, limit).await
            }
            Fault::ListIgnoresPrefix => self.tier.list(bucket, "", from, limit).await,
            Fault::ListRepeats => {
                let mut page = self.tier.list(bucket, prefix, from, limit).await?;
                if let (Some(next), true) = (&mut page.next, page.objects.len() > 1) {
                    *next = page.objects[page.objects.len() - 2].key.as_str().to_owned();
                }
                Ok(page)
            }
            _ => self.tier.list(bucket, prefix, from, limit).await,
        }
    }
}

fn until_nul(text: &str) -> String {
    let end = text.split('\0').next().unwrap_or_default();
    if end.is_empty() { "none".to_owned() } else { end.to_owned() }
}

fn with_last(bytes: &[u8], count: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let start = bytes.len().saturating_sub(count);
    bytes[start..].iter_mut().for_each(|byte| *byte ^= 0xff);
    bytes
}

fn write_unverified(mut bytes: Vec<u8>, stat: Stat, mut to: Box<dyn Destination>) -> Loaded {
    bytes.resize(stat.len.bytes() as usize, 0);
    to.write(&bytes, &mut Digest::new());
    to.complete();
    Loaded::Complete
}

/// Destination that is never dropped.
#[derive(Debug)]
struct Kept(Option<Box<dyn Destination>>);

impl Destination for Kept {
    fn write(&mut self, bytes: &[u8], digest: &mut Digest) {
        self.0.as_mut().unwrap().write(bytes, digest);
    }

    fn complete(mut self: Box<Self>) {
        self.0.take().unwrap().complete();
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        mem::forget(self.0.take());
    }
}

/// Removes all objects when a call is dropped.
struct Clears<'a>(&'a Mutant, bool);

impl Drop for Clears<'_> {
    fn drop(&mut self) {
        if self.1 {
            let server = self.0.tier.server();
            server.names().iter().for_each(|name| drop(server.forget(name)));
        }
    }
}

impl Tier for Mutant {
    fn kind(&self) -> &'static str {
        "mutant"
    }

    fn place(&self) -> String {
        match self.fault {
            Fault::EmptyPlace => String::new(),
            Fault::ShowsSecret => format!("memory://user:{SECRET}@host"),
            _ => self.tier.place(),
        }
    }

    fn len_max(&self) -> u64 {
        self.tier.len_max().min(1 << 30)
    }

    fn presence(&self, bucket: &str, key: &str) -> Presence {
        let name = self.name(bucket, key);
        let stat = self.stats.lock().unwrap().get(&name).copied();
        match (self.fault, stat) {
            (Fault::PresenceDenies, _) => Presence::Absent,
            (Fault::PresenceRemembers, Some(stat)) => Presence::Here(stat),
            _ => self.tier.presence(name.bucket.as_str(), name.key.as_str()),
        }
    }

    fn find<'a>(&'a self, bucket: &'a str, keys: &'a [&'a str]) -> Answer<'a, Vec<Option<Stat>>> {
        Box::pin(self.look_up(bucket, keys))
    }

    fn load<'a>(
        &'a self,
        name: &'a Name,
        stat: Stat,
        destination: Box<dyn Destination>,
    ) -> Answer<'a, Loaded> {
        Box::pin(async move {
            let name = self.name(name.bucket.as_str(), name.key.as_str());
            self.deliver(&name, stat, destination).await
        })
    }

    fn store<'a>(&'a self, object: &'a Object, source: Box<dyn Source>) -> Answer<'a, Stored> {
        Box::pin(async move {
            let name = self.name(object.name.bucket.as_str(), object.name.key.as_str());
            self.stores.fetch_add(1, Ordering::SeqCst);
            let stored = self.take(&Object { name, stat: object.stat }, source).await;
            self.stores.fetch_sub(1, Ordering::SeqCst);
            stored
        })
    }

    fn remove<'a>(&'a self, bucket: &'a str, keys: &'a [&'a str]) -> Answer<'a, Vec<bool>> {
        Box::pin(self.erase(bucket, keys))
    }

    fn list<'a>(
        &'a self,
        bucket: &'a str,
        prefix: &'a str,
        from: Option<&'a str>,
        limit: usize,
    ) -> Answer<'a, Page> {
        Box::pin(self.page(bucket, prefix, from, limit))
    }

    fn usage(&self) -> Usage {
        match self.fault {
            Fault::CountsNothing => Usage { objects: Some(0), ..Usage::default() },
            _ => self.tier.usage(),
        }
    }

    fn close(&self) -> Answer<'_, ()> {
        Box::pin(async {
            self.grave.lock().unwrap().was_closed = true;
            self.is_closed.store(true, Ordering::SeqCst);
            let server = self.tier.server();
            match self.fault {
                Fault::WorksAfterClose => return Ok(()),
                Fault::LosesAtClose => {
                    server.names().iter().for_each(|name| drop(server.forget(name)));
                }
                _ => {}
            }
            self.tier.close().await
        })
    }
}
