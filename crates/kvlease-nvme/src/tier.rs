//! The tier.

use std::{
    fmt,
    fs::File,
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
};

use kvlease_tier::{
    Answer, Destination, Loaded, Name, Object, Page, Presence, Source, Stat, Stored, Tier,
    TierError, Usage,
};
use kvlease_types::ByteSize;
use tokio::sync::{Semaphore, oneshot};

use crate::{
    commit::RemovalCommit,
    config::NvmeConfig,
    device::{Device, FileDevice},
    error::NvmeError,
    fingerprint::Secret,
    geometry::Geometry,
    list::{Cursor, ListJob},
    maintenance::Ending,
    open::{self, OpenFile},
    recovery::{self, NvmeRecovery},
    shared::Shared,
    state::{Removed, stat_of},
    threads::Threads,
    way::{IoWay, Way},
    worker::{Job, LoadJob, StoreJob},
};

/// Loads that are under way at a time, and stores. More wait in their futures.
const UNDER_WAY_MAX: usize = 64;

/// Tier on the node's NVMe: a log of segments in one file, its index in memory.
pub struct NvmeTier {
    file: PathBuf,
    way: Way,
    warnings: Vec<String>,
    shared: Arc<Shared>,
    threads: Arc<Threads>,
    loads: Arc<Semaphore>,
    stores: Arc<Semaphore>,
    is_closed: AtomicBool,
}

impl NvmeTier {
    /// Checks that the tier could be opened here, also while a daemon has it open. Nothing is changed. `make` makes a file
    /// without a name in the directory. Returns that, and advice to the operator.
    ///
    /// # Errors
    ///
    /// What would keep the file from being used, but for its lock.
    pub fn probe(
        config: &NvmeConfig,
        make: impl FnOnce() -> io::Result<File>,
    ) -> Result<(File, Vec<String>), NvmeError> {
        open::probe(config, make)
    }

    /// Opens the tier, and takes over what the file has. It may take seconds, and blocks.
    ///
    /// # Errors
    ///
    /// What keeps the file from being used.
    pub fn open(config: NvmeConfig) -> Result<(Self, NvmeRecovery), NvmeError> {
        let OpenFile { file, path, geometry, secret, not_direct, warnings } = open::open(&config)?;
        let device = Arc::new(FileDevice::new(file, config.io, not_direct));
        let failed = NvmeError::io(&config.path, "reading the log");
        let (mut tier, recovery) =
            Self::on(Arc::<FileDevice>::clone(&device), geometry, secret, &config, path)
                .map_err(failed)?;
        tier.way = device.way();
        tier.warnings = warnings;
        let reason = tier.way.reason.as_deref().unwrap_or("none");
        tracing::info!(
            file = %tier.file.display(), way = %tier.way, reason, capacity = %geometry.capacity(),
            "the NVMe tier is open: {recovery}"
        );
        Ok((tier, recovery))
    }

    /// The tier on a device.
    pub(crate) fn on(
        device: Arc<dyn Device>,
        geometry: Geometry,
        secret: Secret,
        config: &NvmeConfig,
        file: PathBuf,
    ) -> std::io::Result<(Self, NvmeRecovery)> {
        let (state, recovery) = recovery::recover(&*device, geometry, &secret)?;
        let (wake, inbox) = mpsc::sync_channel(1);
        let shared = Arc::new(Shared::new(device, geometry, secret, state, wake));
        let threads = Threads::start(&shared, inbox, config.workers, config.depth)?;
        let tier = Self {
            file,
            way: Way { io: IoWay::Threads, is_direct: true, reason: None },
            warnings: Vec::new(),
            shared,
            threads: Arc::new(threads),
            loads: Arc::new(Semaphore::new(UNDER_WAY_MAX)),
            stores: Arc::new(Semaphore::new(UNDER_WAY_MAX)),
            is_closed: AtomicBool::new(false),
        };
        Ok((tier, recovery))
    }

    /// Way in which the tier moves bytes.
    pub fn way(&self) -> &Way {
        &self.way
    }

    /// Advice to the operator on the file system. It was logged.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Whether the tier has an object of this name, of any length and checksum.
    fn stat(&self, bucket: &str, key: &str) -> Option<Stat> {
        let fingerprint = self.shared.secret.fingerprint(bucket, key);
        self.shared.state().index.get(fingerprint).map(|object| stat_of(&object))
    }

    fn check_open(&self) -> Result<(), TierError> {
        if self.is_closed.load(Ordering::Acquire) { Err(TierError::Closed) } else { Ok(()) }
    }

    async fn load_object(
        &self,
        name: &Name,
        stat: Stat,
        destination: Box<dyn Destination>,
    ) -> Result<Loaded, TierError> {
        self.check_open()?;
        if self.stat(name.bucket.as_str(), name.key.as_str()) != Some(stat) {
            return Ok(Loaded::Absent);
        }
        let permit = permit(&self.loads).await?;
        let (reply, answer) = oneshot::channel();
        let fingerprint = self.shared.secret.fingerprint(name.bucket.as_str(), name.key.as_str());
        let name = name.clone();
        let guard = self.threads.submit(permit, stat.len.bytes(), |ticket| {
            Job::Load(LoadJob { name, fingerprint, stat, destination, reply, ticket })
        })?;
        // The answer's receiver is dropped before the guard.
        let result = answer.await;
        guard.disarm();
        result.map_err(|_| TierError::Closed)?
    }

    async fn store_object(
        &self,
        object: &Object,
        source: Box<dyn Source>,
    ) -> Result<Stored, TierError> {
        self.check_open()?;
        let Object { name, stat } = object;
        if stat.len.bytes() > self.len_max() {
            return Err(TierError::TooLarge { len_max: ByteSize::new(self.len_max()) });
        }
        let fingerprint = self.shared.secret.fingerprint(name.bucket.as_str(), name.key.as_str());
        if self.shared.state().has(fingerprint, *stat) {
            return Ok(Stored::Present);
        }
        let permit = permit(&self.stores).await?;
        let (reply, answer) = oneshot::channel();
        let object = object.clone();
        let guard = self.threads.submit(permit, stat.len.bytes(), |ticket| {
            Job::Store(StoreJob { object, fingerprint, source, reply, ticket })
        })?;
        // The answer's receiver is dropped before the guard.
        let result = answer.await;
        guard.disarm();
        result.map_err(|_| TierError::Closed)?
    }

    async fn remove_objects(&self, bucket: &str, keys: &[&str]) -> Result<Vec<bool>, TierError> {
        self.check_open()?;
        let removed = |key: &&str| Removed {
            fingerprint: self.shared.secret.fingerprint(bucket, key),
            only_at: None,
        };
        let (reply, answer) = oneshot::channel();
        self.threads.remove(RemovalCommit {
            removed: keys.iter().map(removed).collect(),
            // Without a receiver the caller gave up.
            answer: Box::new(move |result| drop(reply.send(result))),
        })?;
        answer.await.map_err(|_| TierError::Closed)?
    }

    async fn list_objects(
        &self,
        bucket: &str,
        prefix: &str,
        from: Option<&str>,
        limit: usize,
    ) -> Result<Page, TierError> {
        self.check_open()?;
        let from = from.map_or(Ok(Cursor::START), str::parse)?;
        let (reply, answer) = oneshot::channel();
        let (bucket, prefix) = (bucket.to_owned(), prefix.to_owned());
        self.threads.list(ListJob { bucket, prefix, from, limit, reply })?;
        answer.await.map_err(|_| TierError::Closed)?
    }

    async fn end(&self) -> Result<(), TierError> {
        if self.is_closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let (reply, answer) = oneshot::channel();
        let threads = Arc::clone(&self.threads);
        // The end waits for the other threads, which a poll must not.
        let ending = move || {
            threads.end(Ending::Sealed);
            drop(threads);
            // Without a receiver the caller gave up; the tier is closed all the same.
            let _ = reply.send(());
        };
        thread::Builder::new()
            .name("kvlease-nvme-end".to_owned())
            .spawn(ending)
            .map_err(|source| TierError::Io { what: "starting a thread", source })?;
        answer.await.map_err(|_| TierError::Closed)
    }
}

async fn permit(
    semaphore: &Arc<Semaphore>,
) -> Result<tokio::sync::OwnedSemaphorePermit, TierError> {
    Arc::clone(semaphore).acquire_owned().await.map_err(|_| TierError::Closed)
}

impl Tier for NvmeTier {
    fn kind(&self) -> &'static str {
        "nvme"
    }

    fn place(&self) -> String {
        self.file.display().to_string()
    }

    fn way(&self) -> Option<String> {
        Some(self.way.to_string())
    }

    fn len_max(&self) -> u64 {
        self.shared.geometry.object_len_max()
    }

    fn presence(&self, bucket: &str, key: &str) -> Presence {
        self.stat(bucket, key).map_or(Presence::Absent, Presence::Here)
    }

    fn find<'a>(&'a self, bucket: &'a str, keys: &'a [&'a str]) -> Answer<'a, Vec<Option<Stat>>> {
        Box::pin(async move {
            self.check_open()?;
            Ok(keys.iter().map(|key| self.stat(bucket, key)).collect())
        })
    }

    fn load<'a>(
        &'a self,
        name: &'a Name,
        stat: Stat,
        destination: Box<dyn Destination>,
    ) -> Answer<'a, Loaded> {
        Box::pin(self.load_object(name, stat, destination))
    }

    fn store<'a>(&'a self, object: &'a Object, source: Box<dyn Source>) -> Answer<'a, Stored> {
        Box::pin(self.store_object(object, source))
    }

    fn remove<'a>(&'a self, bucket: &'a str, keys: &'a [&'a str]) -> Answer<'a, Vec<bool>> {
        Box::pin(self.remove_objects(bucket, keys))
    }

    fn list<'a>(
        &'a self,
        bucket: &'a str,
        prefix: &'a str,
        from: Option<&'a str>,
        limit: usize,
    ) -> Answer<'a, Page> {
        Box::pin(self.list_objects(bucket, prefix, from, limit))
    }

    fn usage(&self) -> Usage {
        let state = self.shared.state();
        Usage {
            objects: Some(state.index.len() as u64),
            used: Some(state.used()),
            capacity: Some(self.shared.geometry.capacity()),
            forgotten: Some(state.forgotten),
        }
    }

    fn close(&self) -> Answer<'_, ()> {
        Box::pin(self.end())
    }
}

impl fmt::Debug for NvmeTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NvmeTier").field("place", &self.place()).finish_non_exhaustive()
    }
}
