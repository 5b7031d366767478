//! Tier with a directory.

use std::sync::Arc;

use kvlease_tier::{
    Answer, Destination, Loaded, Name, Object, Page, Presence, Source, Stat, Stored, Tier, Usage,
};
use tokio::task::JoinHandle;

use super::{
    entry::{Fingerprint, fingerprint},
    shared::Shared,
    shelf::Shelf,
    task::run,
};
use crate::{
    options::{Lookup, Options},
    segment::{SEGMENT_LEN_MAX, segment},
};

/// Tier that knows from the directory what its store cannot have.
#[derive(Debug)]
pub(crate) struct WithDirectory<S> {
    store: Arc<S>,
    shared: Arc<Shared>,
    lookup: Lookup,
    task: JoinHandle<()>,
}

impl<S: Shelf> WithDirectory<S> {
    /// The tier in a store. Its task is spawned on the runtime that this is called in.
    pub(crate) fn new(store: S, options: &Options) -> Self {
        let store = Arc::new(store);
        let shared = Arc::new(Shared::new(segment(&options.node, SEGMENT_LEN_MAX)));
        let task = tokio::spawn(run(Arc::clone(&store), Arc::clone(&shared)));
        Self { store, shared, lookup: options.lookup, task }
    }

    fn fingerprint(&self, bucket: &str, key: &str) -> Fingerprint {
        fingerprint(&self.store.layout().object(bucket, key))
    }
}

impl<S> Drop for WithDirectory<S> {
    fn drop(&mut self) {
        // Everything that was acknowledged is published.
        self.task.abort();
    }
}

impl<S: Shelf> Tier for WithDirectory<S> {
    fn kind(&self) -> &'static str {
        self.store.kind()
    }

    fn place(&self) -> String {
        self.store.place()
    }

    fn len_max(&self) -> u64 {
        self.store.len_max()
    }

    fn presence(&self, bucket: &str, key: &str) -> Presence {
        let may_have = match self.lookup {
            Lookup::Always => true,
            Lookup::Directory => self.shared.index().may_have(self.fingerprint(bucket, key)),
        };
        if may_have { Presence::Unknown } else { Presence::Absent }
    }

    fn find<'a>(&'a self, bucket: &'a str, keys: &'a [&'a str]) -> Answer<'a, Vec<Option<Stat>>> {
        Box::pin(async move {
            let found = self.store.find(bucket, keys).await?;
            for (_, key) in found.iter().zip(keys).filter(|(found, _)| found.is_some()) {
                self.shared.index().note(self.fingerprint(bucket, key));
            }
            Ok(found)
        })
    }

    fn load<'a>(
        &'a self,
        name: &'a Name,
        stat: Stat,
        destination: Box<dyn Destination>,
    ) -> Answer<'a, Loaded> {
        self.store.load(name, stat, destination)
    }

    fn store<'a>(&'a self, object: &'a Object, source: Box<dyn Source>) -> Answer<'a, Stored> {
        Box::pin(async move {
            let Name { bucket, key } = &object.name;
            let fingerprint = self.fingerprint(bucket.as_str(), key.as_str());
            let is_new = self.presence(bucket.as_str(), key.as_str()) == Presence::Absent;
            // The name is published while the bytes are on their way: to be in the directory without
            // an object costs a call.
            let ticket = self.shared.index().add(fingerprint);
            self.shared.wake.notify_one();
            // What the directory does not know costs no look-up.
            let stored = match is_new {
                true => self.store.write(object, source).await?,
                false => self.store.store(object, source).await?,
            };
            self.shared.published(ticket).await?;
            Ok(stored)
        })
    }

    fn remove<'a>(&'a self, bucket: &'a str, keys: &'a [&'a str]) -> Answer<'a, Vec<bool>> {
        self.store.remove(bucket, keys)
    }

    fn list<'a>(
        &'a self,
        bucket: &'a str,
        prefix: &'a str,
        from: Option<&'a str>,
        limit: usize,
    ) -> Answer<'a, Page> {
        self.store.list(bucket, prefix, from, limit)
    }

    fn usage(&self) -> Usage {
        self.store.usage()
    }

    fn close(&self) -> Answer<'_, ()> {
        Box::pin(async {
            let mut progress = self.shared.progress.subscribe();
            self.shared.progress.send_modify(|now| now.is_closing = true);
            self.shared.wake.notify_one();
            // If the task is gone, nothing is left to publish.
            drop(progress.wait_for(|now| now.is_over).await);
            self.store.close().await
        })
    }
}
