//! State that the director shares with the clients.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU8, Ordering::Relaxed},
    },
};

use kvlease_testing::mix;

use super::{
    versions::{SEGMENTS, Versions},
    watch::Watch,
};

/// Number of daemons.
pub(super) const DAEMONS: usize = 2;

/// Bucket of all objects.
pub(super) const BUCKET: &str = "world";

/// Keys that each client writes.
pub(super) const KEYS: usize = 5;

/// Shortest and longest object in bytes.
const LEN_MIN: u64 = 64;
const LEN_MAX: u64 = 512 << 10;

/// Most faults whose text is kept; the others are counted.
const FAULTS_MAX: usize = 50;

const STORM: u8 = 0;
const CALM: u8 = 1;
const END: u8 = 2;

/// Shared state.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) seed: u64,
    pub(super) clients: usize,
    pub(super) addresses: [SocketAddr; DAEMONS],
    /// Names of the segments.
    pub(super) names: [String; SEGMENTS],
    pub(super) watch: Watch,
    /// Keys, by client and number.
    versions: Mutex<Vec<Versions>>,
    spells: RwLock<[Spell; DAEMONS]>,
    left: Mutex<Vec<Left>>,
    counts: Mutex<BTreeMap<&'static str, u64>>,
    faults: Mutex<(u64, Vec<String>)>,
    phase: AtomicU8,
    /// Reason why each client is not at full function in the calm; `None` if it is.
    wants: Mutex<Vec<Option<String>>>,
}

/// Time of a daemon without a change: the same before and after a call means that one process, or
/// none, was there all the time.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Spell {
    /// Number of changes before.
    pub(super) changes: u64,
    /// Segment that it serves, or may serve.
    pub(super) segment: Option<usize>,
    /// Number of times that the segment's files were made anew.
    pub(super) life: u64,
}

/// Content of the published index of a daemon that has ended.
#[derive(Debug)]
struct Left {
    daemon: usize,
    spell: Spell,
    versions: Vec<Versions>,
}

impl Shared {
    pub(super) fn new(
        seed: u64,
        clients: usize,
        addresses: [SocketAddr; DAEMONS],
        names: [String; SEGMENTS],
    ) -> Self {
        Self {
            seed,
            clients,
            addresses,
            names,
            watch: Watch::default(),
            versions: Mutex::new(vec![Versions::default(); clients * KEYS]),
            spells: RwLock::default(),
            left: Mutex::default(),
            counts: Mutex::default(),
            faults: Mutex::default(),
            phase: AtomicU8::new(STORM),
            wants: Mutex::new(vec![Some("its first turn".to_owned()); clients]),
        }
    }

    pub(super) fn keys(&self) -> usize {
        self.clients * KEYS
    }

    /// Name of a key. It needs percent-encoding, as those of LMCache do.
    pub(super) fn key(&self, index: usize) -> String {
        format!("org/model@{:x}@{index}", self.seed)
    }

    /// Length of a version of a key.
    pub(super) fn len(&self, index: usize, version: u64) -> usize {
        let number = mix(self.seed ^ mix(index as u64) ^ mix(version));
        kvlease_testing::Draws::new(number).log_between(LEN_MIN, LEN_MAX) as usize
    }

    pub(super) fn versions(&self, index: usize) -> Versions {
        locked(&self.versions)[index].clone()
    }

    pub(super) fn update<T>(&self, index: usize, change: impl FnOnce(&mut Versions) -> T) -> T {
        change(&mut locked(&self.versions)[index])
    }

    pub(super) fn update_all(&self, change: impl Fn(&mut Versions)) {
        locked(&self.versions).iter_mut().for_each(change);
    }

    pub(super) fn spell(&self, daemon: usize) -> Spell {
        self.spells.read().unwrap_or_else(PoisonError::into_inner)[daemon]
    }

    /// From here on the daemon serves, or may serve, this segment.
    pub(super) fn change(&self, daemon: usize, segment: Option<usize>, life: u64) {
        let mut spells = self.spells.write().unwrap_or_else(PoisonError::into_inner);
        let changes = spells[daemon].changes + 1;
        spells[daemon] = Spell { changes, segment, life };
    }

    /// The daemon has ended that served the segment of its spell.
    pub(super) fn leave(&self, daemon: usize) {
        let (spell, versions) = (self.spell(daemon), locked(&self.versions).clone());
        locked(&self.left).push(Left { daemon, spell, versions });
    }

    /// True if one of this daemon's processes left this version in its published index and a client may still
    /// read that, which asked its daemon last when `asked` changes had been.
    pub(super) fn was_left(&self, daemon: usize, asked: u64, index: usize, version: u64) -> bool {
        locked(&self.left).iter().any(|left| {
            let versions = &left.versions[index];
            let is_known = left.daemon == daemon && left.spell.changes >= asked;
            is_known && versions.allows(versions, left.spell.segment, version)
        })
    }

    pub(super) fn count(&self, what: &'static str, more: u64) {
        *locked(&self.counts).entry(what).or_default() += more;
    }

    pub(super) fn counts(&self) -> BTreeMap<String, u64> {
        locked(&self.counts).iter().map(|(what, count)| ((*what).to_owned(), *count)).collect()
    }

    /// Adds a fault, which is printed at once as well.
    pub(super) fn fault(&self, fault: String) {
        eprintln!("kvlease-soak: FAULT {fault}");
        let mut faults = locked(&self.faults);
        faults.0 += 1;
        if faults.1.len() < FAULTS_MAX {
            faults.1.push(fault);
        }
    }

    /// Number of faults, and the first of them.
    pub(super) fn faults(&self) -> (u64, Vec<String>) {
        locked(&self.faults).clone()
    }

    pub(super) fn calm(&self) {
        self.phase.store(CALM, Relaxed);
    }

    pub(super) fn is_calm(&self) -> bool {
        self.phase.load(Relaxed) == CALM
    }

    pub(super) fn end(&self) {
        self.phase.store(END, Relaxed);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.phase.load(Relaxed) == END
    }

    /// Notes what keeps this client from its full function, if anything does.
    pub(super) fn wants(&self, client: usize, what: Option<String>) {
        locked(&self.wants)[client] = what;
    }

    /// Clients that do not work at full function, and why.
    pub(super) fn waiting(&self) -> Vec<String> {
        let wants = locked(&self.wants);
        let waiting = wants
            .iter()
            .enumerate()
            .filter_map(|(client, what)| Some(format!("client `{client}` for {}", what.as_ref()?)));
        waiting.collect()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No section leaves its state half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
