//! An engine of its own for every test, on a segment in a directory that goes with it.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::PathBuf,
    thread::sleep,
    time::{Duration, Instant},
};

use kvlease_arena::{Arena, SegmentOptions};
use kvlease_cache::{CatalogConfig, CatalogStats};
use kvlease_engine::{Engine, EngineConfig, Grants, Put, ReserveLimits, Stored};
use kvlease_sys::FingerprintKey;
use kvlease_testing::bytes;
use kvlease_types::{
    BucketName, ByteSize, Caller, Epoch, Extent, Key, LeaseId, Miss, Mode, RemoveRefused,
    WriteRefused,
};
use tempfile::TempDir;

/// Caller of most tests.
pub(crate) const CALLER: Caller = Caller::DAEMON;

pub(crate) const CAPACITY: ByteSize = ByteSize::mib(8);
pub(crate) const GRACE: Duration = Duration::from_millis(300);
pub(crate) const TTL: Duration = Duration::from_secs(30);
pub(crate) const RESERVATION_TTL: Duration = TTL;
/// That of tests that see a deadline pass. What is to be committed has the longer one: its writer may be held up.
pub(crate) const SHORT_RESERVATION_TTL: Duration = Duration::from_millis(800);

/// Limit of a wait, after which the test fails: longer than any machine is held up.
const WAIT_MAX: Duration = Duration::from_secs(120);

/// A limit that no test reaches.
pub(crate) const NEVER: Duration = Duration::from_secs(3600);

/// Where the engines of one test live, one after the other.
pub(crate) struct Place {
    dir: PathBuf,
    /// Removed with this.
    _made: Option<TempDir>,
}

impl Place {
    pub(crate) fn new() -> Self {
        let made = TempDir::with_prefix_in("kvlease-test-", "/dev/shm").unwrap();
        Self { dir: made.path().to_owned(), _made: Some(made) }
    }

    /// A directory that is there.
    pub(crate) fn at(dir: PathBuf) -> Self {
        Self { dir, _made: None }
    }

    /// Starts an engine on the segment that is there, or on a new one.
    pub(crate) fn engine(&self, epoch: u64) -> Engine {
        self.engine_with(epoch, |_| {})
    }

    /// Starts an engine that knows nothing of what the segment holds.
    pub(crate) fn cold_engine(&self, epoch: u64) -> Engine {
        self.engine_with(epoch, |config| config.cold = true)
    }

    /// Starts an engine whose reservations end soon.
    pub(crate) fn brief_engine(&self, epoch: u64) -> Engine {
        self.engine_with(epoch, |config| config.reservation_ttl = SHORT_RESERVATION_TTL)
    }

    /// Starts an engine whose configuration differs from the tests' defaults.
    pub(crate) fn engine_with(&self, epoch: u64, change: impl FnOnce(&mut EngineConfig)) -> Engine {
        let options = SegmentOptions {
            dir: self.dir.clone(),
            ..SegmentOptions::new("segment".parse().unwrap(), CAPACITY, TTL + GRACE)
        };
        let catalog =
            CatalogConfig { capacity: CAPACITY, lease_grace: GRACE, ..CatalogConfig::default() };
        let key = FingerprintKey::new([7; FingerprintKey::LEN]);
        let mut config = EngineConfig::new(catalog, TTL, key);
        config.reservation_ttl = RESERVATION_TTL;
        config.checkpoint_max = CAPACITY;
        // However slow the machine is, copies come first.
        config.copies_wait_max = NEVER;
        change(&mut config);
        Engine::start(Arena::open(&options).unwrap(), config, Epoch::new(epoch)).unwrap()
    }

    pub(crate) fn segment(&self) -> PathBuf {
        self.dir.join("segment")
    }

    /// Bytes that a client reads in the segment.
    pub(crate) fn read(&self, extents: &[Extent]) -> Vec<u8> {
        let segment = File::open(self.segment()).unwrap();
        let mut bytes = Vec::new();
        for extent in extents {
            let mut piece = vec![0; extent.len.bytes() as usize];
            segment.read_exact_at(&mut piece, extent.offset.bytes()).unwrap();
            bytes.extend(piece);
        }
        bytes
    }

    /// Changes the byte at `at` of what lies in these extents.
    pub(crate) fn damage(&self, extents: &[Extent], at: u64) {
        let segment = File::options().read(true).write(true).open(self.segment()).unwrap();
        let mut left = at;
        for extent in extents {
            if left < extent.len.bytes() {
                let offset = extent.offset.bytes() + left;
                let mut byte = [0];
                segment.read_exact_at(&mut byte, offset).unwrap();
                return segment.write_all_at(&[!byte[0]], offset).unwrap();
            }
            left -= extent.len.bytes();
        }
        panic!("the object has no byte {at}");
    }
}

pub(crate) fn begin(engine: &Engine, key: &str, len: Option<usize>) -> Result<Put, WriteRefused> {
    let len = len.map(|len| ByteSize::new(len as u64));
    engine.put(&CALLER, BucketName::new("b").unwrap(), Key::new(key).unwrap(), len)
}

pub(crate) fn store(engine: &Engine, key: &str, bytes: &[u8]) -> Result<Stored, WriteRefused> {
    let mut put = begin(engine, key, Some(bytes.len()))?;
    put.write(bytes)?;
    put.seal()
}

/// Leases one object, and waits up to `wait` for it if it is pending.
pub(crate) async fn lease(
    engine: &Engine,
    key: &str,
    ttl: Option<Duration>,
    wait: Duration,
) -> Result<Grants, Miss> {
    let mut grants = engine.acquire(&CALLER, "b", &[key], Mode::Each, ttl);
    if grants.is_pending() {
        let until = tokio::time::Instant::now() + wait;
        engine.await_pending(&mut grants, "b", &[key], Mode::Each, until).await;
    }
    grants.first()?;
    Ok(grants)
}

/// The time to live that a lease got; `None` if it is not live.
pub(crate) fn renew(engine: &Engine, id: LeaseId, ttl: Option<Duration>) -> Option<Duration> {
    let renewed = engine.renew(&CALLER, &[id], ttl);
    renewed.live[0].then_some(renewed.ttl)
}

pub(crate) fn remove(engine: &Engine, key: &str) -> Result<(), RemoveRefused> {
    engine.remove(&CALLER, "b", &[key])[0]
}

pub(crate) fn stats(engine: &Engine) -> CatalogStats {
    engine.stats().catalog
}

/// Nothing is stored, written, leased or held: every byte is free.
pub(crate) fn assert_empty(engine: &Engine) {
    let stats = stats(engine);
    let counts = (stats.objects, stats.writes_in_flight, stats.leases_live);
    assert_eq!((counts, stats.free), ((0, 0, 0), CAPACITY), "{stats:?}");
}

/// Waits until the engine is as it has to become.
pub(crate) fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let started = Instant::now();
    while !reached() {
        assert!(started.elapsed() < WAIT_MAX, "{what} never came");
        sleep(Duration::from_millis(2));
    }
}

/// Limits of a caller that has nothing reserved.
pub(crate) fn limits(reservations: usize) -> ReserveLimits {
    ReserveLimits { reservations, open: ByteSize::ZERO }
}

/// Fills the arena with objects of 128 KiB and removes every other one: no two free pieces touch.
pub(crate) fn fragment(engine: &Engine) {
    let piece = bytes(128 << 10, 99);
    for n in 0..CAPACITY.bytes() / piece.len() as u64 {
        store(engine, &format!("piece {n}"), &piece).unwrap();
    }
    let pieces: Vec<_> = (0..CAPACITY.bytes() / piece.len() as u64).collect();
    let offset = |n: &u64| engine.stat("b", &format!("piece {n}")).unwrap().extents[0].offset;
    let mut by_place = pieces;
    by_place.sort_by_key(offset);
    for n in by_place.iter().step_by(2) {
        remove(engine, &format!("piece {n}")).unwrap();
    }
}

/// Ends a future that has nothing to wait for, or gives it `wait` to do so.
pub(crate) fn run<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(future)
}
