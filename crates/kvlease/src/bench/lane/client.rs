//! One client of the fast lane on one thread, which waits for its answers where it asked.

use std::{
    io,
    path::Path,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use kvlease_client::{
    AdaptiveSpin, BucketName, ByteSize, ClientConfig, Connector, ConnectorConfig, Key,
    SocketChoice, TrustedUsers, View,
    lane::{AcquireOutcome, Lane, LaneLease, LanePut, Post, PostObserver},
};
use tokio::runtime::{Builder, Runtime};

use super::super::{session::LanePlace, wire};
use crate::failure::Failure;

/// How long one call may take.
const CALL_MAX: Duration = Duration::from_secs(60);

/// For how long objects are leased.
const TTL: Duration = Duration::from_secs(30);

/// The lane, and a connector that takes it.
#[derive(Debug)]
pub(in super::super) struct LaneClient {
    lane: Lane,
    connector: Connector,
    runtime: Runtime,
    spin: AdaptiveSpin,
    place: LanePlace,
}

impl LaneClient {
    /// Opens the lane at this socket; the inner error is why it cannot be used.
    pub(in super::super) fn open(place: LanePlace) -> Result<Result<Self, String>, Failure> {
        let LanePlace { address, bucket, socket, .. } = place.clone();
        let runtime = Builder::new_current_thread().enable_all().build().map_err(wire::failed)?;
        let lane = match runtime.block_on(open(&socket, bucket.clone())) {
            Ok(lane) if lane.is_writable() => lane,
            Ok(_) => return Ok(Err("the daemon lets no client write over it".to_owned())),
            Err(error) => return Ok(Err(error.to_string())),
        };
        let mut config = ClientConfig::new(address);
        config.bucket = bucket;
        let mut config = ConnectorConfig::new(config);
        config.socket = SocketChoice::At(socket);
        let connector = Connector::new(config);
        // A daemon before the published index has none: then all rows ask it.
        let _has_index = runtime.block_on(lane.open_index(CALL_MAX)).unwrap_or(false);
        let spin = AdaptiveSpin::default();
        Ok(Ok(Self { lane, connector, runtime, spin, place }))
    }

    /// Another client of the same lane, whose mapping has no pages yet.
    pub(in super::super) fn again(&self) -> Result<Self, Failure> {
        let opened = Self::open(self.place.clone())?;
        opened.map_err(|why| wire::failed(io::Error::other(why)))
    }

    /// The keys of objects with these numbers.
    pub(in super::super) fn keys(&self, kind: &str, numbers: std::ops::Range<usize>) -> Vec<Key> {
        let key = |number| Key::new(format!("{}-{kind}-{number}", self.place.key_prefix));
        numbers.map(|number| key(number).expect("keys of bench are short and plain")).collect()
    }

    /// Leases objects, all of which are there.
    pub(in super::super) fn acquire(&self, keys: &[Key]) -> io::Result<Vec<LaneLease>> {
        let call = self.lane.acquire(keys, false, Duration::ZERO, TTL, CALL_MAX);
        let found = self.wait(call).map_err(io::Error::other)?;
        let leased = |found| match found {
            AcquireOutcome::Leased(lease) => Ok(lease),
            AcquireOutcome::StillWriting | AcquireOutcome::Absent | AcquireOutcome::Full => {
                Err(io::Error::other("an object is gone or full"))
            }
        };
        found.into_iter().map(leased).collect()
    }

    /// Copies a leased object and checks it.
    pub(in super::super) fn copy(&self, lease: &LaneLease, into: &mut [u8]) -> io::Result<()> {
        let copied = self.lane.attachment().copy_out_digested(lease.extents(), into);
        let checksum = copied.map_err(io::Error::other)?;
        match checksum == lease.checksum() && lease.is_live() {
            true => Ok(()),
            false => Err(io::Error::other("wrong bytes, or the lease ended")),
        }
    }

    /// Copies an object that the published index names, without a lease, and checks it. Asks the daemon
    /// for one that it does not name.
    pub(in super::super) fn read(&self, key: &Key, into: &mut [u8]) -> io::Result<()> {
        let Some(object) = self.lane.find_indexed(key) else {
            let leases = self.acquire(std::slice::from_ref(key))?;
            return leases.iter().try_for_each(|lease| self.copy(lease, into));
        };
        let copied = self.lane.attachment().copy_out_digested(object.extents(), into);
        let checksum = copied.map_err(io::Error::other)?;
        match checksum == object.checksum() && object.is_live() {
            true => Ok(()),
            false => Err(io::Error::other("wrong bytes, or the object left")),
        }
    }

    /// Counts objects with the connector, which asks the daemon for those that the published index does
    /// not name. All of them are there.
    pub(in super::super) fn count(&self, keys: &[Key]) -> io::Result<()> {
        let found = match keys {
            [key] => self.wait(self.connector.exists(key)).map(usize::from),
            keys => self.wait(self.connector.lookup_prefix(keys)),
        };
        match found.map_err(io::Error::other)? == keys.len() {
            true => Ok(()),
            false => Err(io::Error::other("an object is gone")),
        }
    }

    /// Reads objects with the connector, which leases those that the published index does not name.
    pub(in super::super) fn get(&self, keys: &[Key]) -> io::Result<()> {
        let gone = || io::Error::other("an object is gone");
        if let [key] = keys {
            let read = self.wait(self.connector.get(key)).map_err(io::Error::other)?;
            return read.map(drop).ok_or_else(gone);
        }
        for read in self.wait(self.connector.batched_get(keys)) {
            drop(read.map_err(io::Error::other)?.ok_or_else(gone)?);
        }
        Ok(())
    }

    /// Objects where they are. All of them are looked at by their addresses, none by its bytes.
    pub(in super::super) fn view(&self, keys: &[Key]) -> io::Result<Vec<View>> {
        let opened = self.wait(self.connector.batched_open(keys, 0));
        let view = |opened: Result<Option<_>, _>| {
            let object: Option<kvlease_client::OpenObject> = opened.map_err(io::Error::other)?;
            let object = object.ok_or_else(|| io::Error::other("an object is gone"))?;
            let view = object.into_view();
            let view = view.map_err(|_| io::Error::other("an object came over HTTP"))?;
            match view.is_live() {
                true => Ok(view),
                false => Err(io::Error::other("a lease ended at once")),
            }
        };
        opened.into_iter().map(view).collect()
    }

    /// Which of the objects are there, all of which have to be.
    pub(in super::super) fn look_up(&self, keys: &[Key]) -> io::Result<()> {
        let found = self.wait(self.lane.exists(keys, false, CALL_MAX)).map_err(io::Error::other)?;
        match found.iter().all(|found| *found) {
            true => Ok(()),
            false => Err(io::Error::other("an object is gone")),
        }
    }

    /// Stores objects together: reserves, fills, commits. One object goes into space that was reserved
    /// ahead of need, if there is some.
    pub(in super::super) fn put<'b>(
        &self,
        keys: &[Key],
        len: usize,
        from: impl Fn(usize) -> &'b [u8],
    ) -> io::Result<()> {
        if let [key] = keys {
            let stored = self.wait(self.lane.store(key, &[from(0)], CALL_MAX));
            match stored.map_err(io::Error::other)? {
                Some(LanePut::Stored) => return Ok(()),
                Some(outcome) => return Err(not_stored(&outcome)),
                None => {}
            }
        }
        let requested: Vec<_> = keys.iter().map(|key| (key, ByteSize::new(len as u64))).collect();
        let mut stored = 0;
        while stored < keys.len() {
            let reserve = self.lane.reserve(&requested[stored..], CALL_MAX);
            let reserved = self.wait(reserve).map_err(io::Error::other)?;
            let mut filled = Vec::with_capacity(reserved.len());
            for (place, reserved) in reserved.into_iter().enumerate() {
                let reservation = reserved.map_err(|outcome| not_stored(&outcome))?;
                let checksum = reservation.fill([from(stored + place)]);
                let checksum = checksum.ok_or_else(|| not_stored(&LanePut::Expired))?;
                filled.push((reservation, checksum));
            }
            let outcomes = self.wait(self.lane.commit(filled, CALL_MAX));
            let outcomes = outcomes.map_err(io::Error::other)?;
            if let Some(outcome) = outcomes.iter().find(|outcome| **outcome != LanePut::Stored) {
                return Err(not_stored(outcome));
            }
            stored += outcomes.len();
        }
        Ok(())
    }

    /// Stores one object without waiting for the answer, where there is space that was reserved ahead of
    /// need.
    pub(super) fn post(&self, key: &Key, bytes: &[u8], posts: &LanePosts) -> io::Result<()> {
        let post = Post { observer: &posts.observer, number: 0 };
        let posted = self.wait(self.lane.post(key, &[bytes], post, CALL_MAX));
        match posted.map_err(io::Error::other)? {
            true => Ok(()),
            false => self.put(std::slice::from_ref(key), bytes.len(), |_| bytes),
        }
    }

    /// Waits for the answers to posted puts, all of which have to be stored.
    pub(super) fn flush(&self, posts: &LanePosts) -> io::Result<()> {
        self.wait(self.lane.flush_posted(CALL_MAX)).map_err(io::Error::other)?;
        match posts.failures.0.load(Ordering::Relaxed) {
            0 => Ok(()),
            failures => Err(io::Error::other(format!("posts failed, posts=`{failures}`"))),
        }
    }

    /// Removes objects, whether they are there or not.
    pub(in super::super) fn remove(&self, keys: &[Key]) -> io::Result<()> {
        let removed = self.wait(self.lane.remove(keys, CALL_MAX));
        removed.map(drop).map_err(io::Error::other)
    }

    /// The part of all keys that makes them this run's own.
    pub(in super::super) fn key_prefix(&self) -> &str {
        &self.place.key_prefix
    }

    /// Waits for a call where no time is measured to the microsecond.
    pub(in super::super) fn run<T>(&self, call: impl Future<Output = T>) -> T {
        self.runtime.block_on(call)
    }

    /// Waits for a call as the connector without `async` does: in place for a while.
    fn wait<T>(&self, call: impl Future<Output = T>) -> T {
        let mut call = pin!(call);
        let entered = self.runtime.enter();
        let answer = self.spin.poll(call.as_mut());
        drop(entered);
        answer.unwrap_or_else(|| self.runtime.block_on(call))
    }
}

async fn open(socket: &Path, bucket: BucketName) -> Result<Lane, kvlease_client::lane::LaneError> {
    Lane::open(socket, bucket, true, TrustedUsers::default(), 1, CALL_MAX).await
}

fn not_stored(outcome: &LanePut) -> io::Error {
    io::Error::other(format!("an object was not stored, outcome=`{outcome:?}`"))
}

/// Outcomes of posted puts.
#[derive(Debug)]
pub(super) struct LanePosts {
    failures: Arc<Failures>,
    observer: Arc<dyn PostObserver>,
}

/// Number of those that stored nothing.
#[derive(Debug, Default)]
struct Failures(AtomicUsize);

impl Default for LanePosts {
    fn default() -> Self {
        let failures = Arc::<Failures>::default();
        Self { observer: Arc::clone(&failures) as Arc<dyn PostObserver>, failures }
    }
}

impl PostObserver for Failures {
    fn settle(&self, _number: u64, outcome: Option<LanePut>) {
        if outcome != Some(LanePut::Stored) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}
