//! Tier in memory, with switches: right in all that the contract asks for.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use kvlease_sys::Digest;
use kvlease_tier::{
    Answer, Destination, Listed, Loaded, Name, Object, Page, Presence, Source, SourceChanged, Stat,
    Stored, Tier, TierError, Usage,
};
use kvlease_types::{BucketName, ByteSize, Key};
use tokio::{sync::watch, task, time};

use crate::{
    call_counts::{CallCounts, Calls},
    store::Damage,
};

/// Bytes that are moved between two points at which other tasks run.
const PIECE: usize = 1 << 20;

/// The longest object, by default.
const LEN_MAX: u64 = 1 << 30;

/// Store behind a [`MemoryTier`], with switches for its troubles. It outlives its tiers.
#[derive(Debug)]
pub struct MemoryServer {
    objects: Mutex<BTreeMap<Name, StoredForm>>,
    stores_held: AtomicU64,
    switches: watch::Sender<Switches>,
}

/// Object as the server keeps it: name, stat and bytes, which may be changed behind the tier's back.
#[derive(Clone)]
struct StoredForm {
    name: Name,
    stat: Stat,
    bytes: Arc<[u8]>,
}

#[derive(Clone, Copy, Default, Debug)]
struct Switches {
    delay: Duration,
    is_failing: bool,
    is_stopped: bool,
    are_stores_stopped: bool,
    are_removals_stopped: bool,
    are_removals_failing: bool,
    is_full: bool,
    capacity: Option<ByteSize>,
}

/// Tier over a [`MemoryServer`].
#[derive(Debug)]
pub struct MemoryTier {
    server: Arc<MemoryServer>,
    len_max: u64,
    is_presence_unknown: AtomicBool,
    next_look: NextLook,
    is_closed: AtomicBool,
    calls: Calls,
}

/// Action before the next answer on whether the tier has an object.
#[derive(Default)]
struct NextLook(Mutex<Option<Look>>);

type Look = Box<dyn FnOnce(&str) + Send>;

impl fmt::Debug for NextLook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NextLook")
    }
}

impl Default for MemoryServer {
    fn default() -> Self {
        Self {
            objects: Mutex::default(),
            stores_held: AtomicU64::new(0),
            switches: watch::Sender::new(Switches::default()),
        }
    }
}

impl fmt::Debug for StoredForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, stat, bytes } = self;
        write!(f, "{name:?} {stat:?}, {} bytes", bytes.len())
    }
}

impl MemoryServer {
    /// Delays every answer by this much. The clock is tokio's, which a test may pause.
    pub fn set_delay(&self, delay: Duration) {
        self.switches.send_modify(|switches| switches.delay = delay);
    }

    /// Makes every call fail with [`TierError::Unavailable`], or ends that.
    pub fn set_failing(&self, is_failing: bool) {
        self.switches.send_modify(|switches| switches.is_failing = is_failing);
    }

    /// Keeps calls from going on, those under way too, or lets them go on.
    pub fn set_stopped(&self, is_stopped: bool) {
        self.switches.send_modify(|switches| switches.is_stopped = is_stopped);
    }

    /// Keeps stores that have all bytes from taking effect, or lets them go on.
    pub fn set_stores_stopped(&self, are_stopped: bool) {
        self.switches.send_modify(|switches| switches.are_stores_stopped = are_stopped);
    }

    /// Number of the stores that are kept so.
    pub fn stores_held(&self) -> u64 {
        self.stores_held.load(Ordering::Relaxed)
    }

    /// Makes every removal fail, or ends that.
    pub fn set_removals_failing(&self, are_failing: bool) {
        self.switches.send_modify(|switches| switches.are_removals_failing = are_failing);
    }

    /// Keeps removals from taking effect, or lets them go on.
    pub fn set_removals_stopped(&self, are_stopped: bool) {
        self.switches.send_modify(|switches| switches.are_removals_stopped = are_stopped);
    }

    /// Makes every store fail with [`TierError::Full`], or ends that.
    pub fn set_full(&self, is_full: bool) {
        self.switches.send_modify(|switches| switches.is_full = is_full);
    }

    /// Refuses objects for which there is no room in this many bytes.
    pub fn set_capacity(&self, capacity: ByteSize) {
        self.switches.send_modify(|switches| switches.capacity = Some(capacity));
    }

    /// Names of all objects, in order.
    pub fn names(&self) -> Vec<Name> {
        self.objects().keys().cloned().collect()
    }

    /// Bytes that are stored under a name.
    pub fn bytes(&self, name: &Name) -> Option<Arc<[u8]>> {
        self.stored(name).map(|form| form.bytes)
    }

    /// Puts an object there behind the tier's back, whatever its bytes are.
    pub fn insert(&self, object: &Object, bytes: Arc<[u8]>) {
        let Object { name, stat } = object.clone();
        self.objects().insert(name.clone(), StoredForm { name, stat, bytes });
    }

    /// Takes an object away behind the tier's back. Returns its bytes.
    pub fn forget(&self, name: &Name) -> Option<Arc<[u8]>> {
        self.objects().remove(name).map(|form| form.bytes)
    }

    /// Changes what is stored under a name behind the tier's back.
    ///
    /// # Panics
    ///
    /// If nothing is.
    pub fn damage(&self, name: &Name, damage: &Damage) {
        let mut form = self.stored(name).expect("the object is stored");
        let middle = form.bytes.len() / 2;
        match damage {
            Damage::FlipBit => {
                let mut bytes = form.bytes.to_vec();
                bytes[middle] ^= 1;
                form.bytes = bytes.into();
            }
            Damage::Truncate => form.bytes = form.bytes[..middle].into(),
            Damage::ReplaceBy(other) => {
                form = self.stored(other).expect("the other object is stored");
            }
            Damage::Garbage => form.bytes = vec![0xa5; form.bytes.len()].into(),
        }
        self.objects().insert(name.clone(), form);
    }

    /// Waits until the switches are so, and returns them.
    async fn until(&self, are_so: impl FnMut(&Switches) -> bool) -> Switches {
        let mut switches = self.switches.subscribe();
        *switches.wait_for(are_so).await.expect("the server has the sender")
    }

    fn objects(&self) -> MutexGuard<'_, BTreeMap<Name, StoredForm>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stored(&self, name: &Name) -> Option<StoredForm> {
        self.objects().get(name).cloned()
    }

    /// Number of objects, and their bytes.
    fn contents(&self) -> (u64, u64) {
        let objects = self.objects();
        let used = objects.values().map(|form| form.bytes.len() as u64).sum();
        (objects.len() as u64, used)
    }

    fn keys(&self, bucket: &str, prefix: &str, from: Option<&str>) -> Vec<Listed> {
        let objects = self.objects();
        let all = objects.iter().filter(|(name, _)| {
            let key = name.key.as_str();
            let is_behind = from.is_none_or(|from| key > from);
            name.bucket.as_str() == bucket && key.starts_with(prefix) && is_behind
        });
        all.map(|(name, form)| Listed { key: name.key.clone(), len: form.stat.len }).collect()
    }
}

impl Default for MemoryTier {
    fn default() -> Self {
        Self::of(Arc::default())
    }
}

impl MemoryTier {
    /// Tier over a server of its own.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tier over this server.
    pub fn of(server: Arc<MemoryServer>) -> Self {
        Self {
            server,
            len_max: LEN_MAX,
            is_presence_unknown: AtomicBool::new(false),
            next_look: NextLook::default(),
            is_closed: AtomicBool::new(false),
            calls: Calls::default(),
        }
    }

    /// The same with another longest object.
    #[must_use]
    pub const fn with_len_max(mut self, len_max: u64) -> Self {
        self.len_max = len_max;
        self
    }

    /// The server.
    pub const fn server(&self) -> &Arc<MemoryServer> {
        &self.server
    }

    /// Makes [`presence`](Tier::presence) answer [`Presence::Unknown`], or ends that.
    pub fn set_presence_unknown(&self, is_unknown: bool) {
        self.is_presence_unknown.store(is_unknown, Ordering::Relaxed);
    }

    /// Has something happen when the tier is asked next whether it has an object, before it answers. It gets the key.
    pub fn at_next_look(&self, what: impl FnOnce(&str) + Send + 'static) {
        *self.next_look() = Some(Box::new(what));
    }

    /// Calls so far.
    pub fn calls(&self) -> CallCounts {
        self.calls.counts()
    }

    fn next_look(&self) -> MutexGuard<'_, Option<Look>> {
        self.next_look.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a call: counts it, and waits as the switches say.
    async fn begin(&self, calls: &AtomicU64) -> Result<(), TierError> {
        calls.fetch_add(1, Ordering::Relaxed);
        let delay = self.server.switches.borrow().delay;
        if !delay.is_zero() {
            time::sleep(delay).await;
        }
        self.step().await
    }

    /// Point between two pieces: other tasks run, and a stop or a failure takes effect.
    async fn step(&self) -> Result<(), TierError> {
        task::yield_now().await;
        let now = self.server.until(|switches| !switches.is_stopped).await;
        if self.is_closed.load(Ordering::Acquire) {
            return Err(TierError::Closed);
        }
        if now.is_failing {
            return Err(failing());
        }
        Ok(())
    }

    async fn take(
        &self,
        object: &Object,
        mut source: Box<dyn Source>,
    ) -> Result<Stored, TierError> {
        self.begin(&self.calls.store).await?;
        let Object { name, stat } = object;
        let len = stat.len.bytes();
        if len > self.len_max {
            return Err(TierError::TooLarge { len_max: ByteSize::new(self.len_max) });
        }
        let switches = *self.server.switches.borrow();
        let has_room = |capacity: ByteSize| self.server.contents().1 + len <= capacity.bytes();
        if switches.is_full || !switches.capacity.is_none_or(has_room) {
            return Err(TierError::Full);
        }
        if self.server.objects().get(name).is_some_and(|form| form.stat == *stat) {
            return Ok(Stored::Present);
        }
        let mut bytes = vec![0; len as usize];
        let mut digest = (!source.notices_changes()).then(Digest::new);
        for piece in bytes.chunks_mut(PIECE) {
            source.read(piece, digest.as_mut())?;
            self.step().await?;
        }
        let is_right = match digest {
            Some(digest) => digest.finish() == stat.checksum,
            None => source.is_unchanged(),
        };
        if !is_right {
            return Err(SourceChanged.into());
        }
        self.server.stores_held.fetch_add(1, Ordering::Relaxed);
        self.server.until(|switches| !switches.are_stores_stopped).await;
        self.server.stores_held.fetch_sub(1, Ordering::Relaxed);
        let form = StoredForm { name: name.clone(), stat: *stat, bytes: bytes.into() };
        self.server.objects().insert(name.clone(), form);
        Ok(Stored::Written(stat.len))
    }

    async fn deliver(
        &self,
        name: &Name,
        stat: Stat,
        mut destination: Box<dyn Destination>,
    ) -> Result<Loaded, TierError> {
        self.begin(&self.calls.load).await?;
        let Some(form) = self.server.stored(name) else { return Ok(Loaded::Absent) };
        if form.name != *name {
            self.server.objects().remove(name);
            return Err(TierError::Foreign { reason: format!("it is of {:?}", form.name) });
        }
        if form.stat != stat {
            return Ok(Loaded::Absent);
        }
        let mut digest = Digest::new();
        let len = form.bytes.len().min(stat.len.bytes() as usize);
        for piece in form.bytes[..len].chunks(PIECE) {
            destination.write(piece, &mut digest);
            self.step().await?;
        }
        let (expected, found) = (stat.checksum, digest.finish());
        if found != expected || form.bytes.len() as u64 != stat.len.bytes() {
            self.server.objects().remove(name);
            return Err(TierError::Corrupt { expected, found });
        }
        destination.complete();
        Ok(Loaded::Complete)
    }
}

impl Tier for MemoryTier {
    fn kind(&self) -> &'static str {
        "memory"
    }

    fn place(&self) -> String {
        "memory of the test".to_owned()
    }

    fn len_max(&self) -> u64 {
        self.len_max
    }

    fn presence(&self, bucket: &str, key: &str) -> Presence {
        let look = self.next_look().take();
        if let Some(look) = look {
            look(key);
        }
        if self.is_presence_unknown.load(Ordering::Relaxed) {
            return Presence::Unknown;
        }
        let form = name(bucket, key).and_then(|name| self.server.stored(&name));
        form.map_or(Presence::Absent, |form| Presence::Here(form.stat))
    }

    fn find<'a>(&'a self, bucket: &'a str, keys: &'a [&'a str]) -> Answer<'a, Vec<Option<Stat>>> {
        Box::pin(async move {
            self.begin(&self.calls.find).await?;
            let found = keys.iter().map(|key| Some(self.server.stored(&name(bucket, key)?)?.stat));
            Ok(found.collect())
        })
    }

    fn load<'a>(
        &'a self,
        name: &'a Name,
        stat: Stat,
        destination: Box<dyn Destination>,
    ) -> Answer<'a, Loaded> {
        Box::pin(self.deliver(name, stat, destination))
    }

    fn store<'a>(&'a self, object: &'a Object, source: Box<dyn Source>) -> Answer<'a, Stored> {
        Box::pin(self.take(object, source))
    }

    fn remove<'a>(&'a self, bucket: &'a str, keys: &'a [&'a str]) -> Answer<'a, Vec<bool>> {
        Box::pin(async move {
            self.begin(&self.calls.remove).await?;
            let now = self.server.until(|switches| !switches.are_removals_stopped).await;
            if now.are_removals_failing {
                return Err(failing());
            }
            let mut objects = self.server.objects();
            let mut remove = |key: &&str| Some(objects.remove(&name(bucket, key)?).is_some());
            Ok(keys.iter().map(|key| remove(key).unwrap_or(false)).collect())
        })
    }

    fn list<'a>(
        &'a self,
        bucket: &'a str,
        prefix: &'a str,
        from: Option<&'a str>,
        limit: usize,
    ) -> Answer<'a, Page> {
        Box::pin(async move {
            self.begin(&self.calls.list).await?;
            let mut objects = self.server.keys(bucket, prefix, from);
            let is_last = objects.len() <= limit;
            objects.truncate(limit);
            let last = objects.last().filter(|_| !is_last);
            let next = last.map(|last| last.key.as_str().to_owned());
            Ok(Page { objects, next })
        })
    }

    fn usage(&self) -> Usage {
        let (objects, used) = self.server.contents();
        Usage {
            objects: Some(objects),
            used: Some(ByteSize::new(used)),
            capacity: self.server.switches.borrow().capacity,
            forgotten: None,
        }
    }

    fn close(&self) -> Answer<'_, ()> {
        Box::pin(async {
            self.is_closed.store(true, Ordering::Release);
            Ok(())
        })
    }
}

fn failing() -> TierError {
    TierError::Unavailable("the switch for failures is on".into())
}

fn name(bucket: &str, key: &str) -> Option<Name> {
    Some(Name { bucket: BucketName::restored(bucket).ok()?, key: Key::new(key).ok()? })
}
