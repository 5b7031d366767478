//! Client of a world: it stores and removes the objects of its own keys and reads those of all keys,
//! whatever state its daemon is in.

use std::{sync::Arc, thread, time::Duration};

use kvlease_harness::Payload;
use kvlease_testing::Draws;

use super::{
    calls::{Calls, Got, Put},
    native::Native,
    shared::{DAEMONS, KEYS, Shared, Spell},
    stock::Stock,
    versions::Stored,
};

/// Longest pause between two calls.
const PAUSE_MAX: Duration = Duration::from_millis(12);

/// Pause between two turns in the calm.
const CALM_PAUSE: Duration = Duration::from_millis(50);

/// Share of turns that store, that remove, and that ask whether there is an object, in percent; the
/// others read.
const STORE_PERCENT: u64 = 30;
const REMOVE_PERCENT: u64 = 12;
const EXISTS_PERCENT: u64 = 5;

/// Share of turns before which a client is made anew, so that its first call finds the daemon in
/// any state, in percent.
const ANEW_PERCENT: u64 = 3;

/// Client of a world.
pub(super) struct Client {
    shared: Arc<Shared>,
    number: usize,
    daemon: usize,
    /// Number of changes of its daemon before the last call that went to a daemon for certain.
    asked: u64,
    draws: Draws,
}

impl Client {
    pub(super) fn new(shared: Arc<Shared>, number: usize) -> Self {
        let draws = Draws::of(shared.seed, number as u64);
        // Each daemon has clients of every kind.
        Self { shared, number, daemon: number / 3 % DAEMONS, asked: 0, draws }
    }

    /// Works until the end.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let (address, name) =
            (self.shared.addresses[self.daemon], self.shared.names[self.daemon].clone());
        match self.number % 3 {
            0 => self.work(&mut Native::over_lane(address, &name)?),
            1 => self.work(&mut Native::over_http(address, &name)?),
            _ => {
                let mut stock = Stock::new(address, self.shared.names.clone());
                self.work(&mut stock)
            }
        }
    }

    fn work(mut self, calls: &mut dyn Calls) -> anyhow::Result<()> {
        while !self.shared.has_ended() {
            if self.shared.is_calm() {
                let lack = self.work_fully(calls);
                self.shared.wants(self.number, lack);
                thread::sleep(CALM_PAUSE);
                continue;
            }
            if self.draws.percent(ANEW_PERCENT) {
                self.asked = self.shared.spell(self.daemon).changes;
                calls.anew()?;
            }
            self.turn(calls);
            let pause = self.draws.below(PAUSE_MAX.as_micros() as u64);
            thread::sleep(Duration::from_micros(pause));
        }
        Ok(())
    }

    fn turn(&mut self, calls: &mut dyn Calls) {
        let own = self.number * KEYS + self.draws.index(KEYS);
        let any = self.draws.index(self.shared.keys());
        match self.draws.below(100) {
            dice if dice < STORE_PERCENT => drop(self.store(calls, own)),
            dice if dice < STORE_PERCENT + REMOVE_PERCENT => drop(self.remove(calls, own)),
            dice if dice < STORE_PERCENT + REMOVE_PERCENT + EXISTS_PERCENT => {
                let key = self.shared.key(any);
                let exists = self.over("exists", calls, |calls| calls.exists(&key));
                self.shared.count(if exists.is_ok() { "questions" } else { "failures" }, 1);
            }
            _ => drop(self.read(calls, any)),
        }
    }

    /// Replaces an object of its own and reads it. Returns what went wrong.
    fn work_fully(&mut self, calls: &mut dyn Calls) -> Option<String> {
        let own = self.number * KEYS;
        if !self.remove(calls, own) {
            return Some("a removal that failed".to_owned());
        }
        match self.store(calls, own) {
            Put::Stored => {}
            other => return Some(format!("a store: {other:?}")),
        }
        match self.read(calls, own) {
            Got::Bytes(_) => calls.lack(),
            other => Some(format!("a read: {other:?}")),
        }
    }

    fn store(&mut self, calls: &mut dyn Calls, index: usize) -> Put {
        let (shared, key) = (Arc::clone(&self.shared), self.shared.key(index));
        let before = shared.spell(self.daemon);
        let version = shared.update(index, |versions| versions.begin());
        let bytes = Payload::new(&key, version, shared.len(index, version)).bytes();
        let put = self.over("put", calls, |calls| calls.put(&key, bytes));
        let segment = self.unchanged(before);
        let stored = match &put {
            Put::Stored => Stored::Yes,
            Put::Refused => Stored::No,
            Put::Failed(_) => Stored::Unknown,
        };
        shared.update(index, |versions| versions.stored(version, segment, stored));
        let what = match &put {
            Put::Stored => "stores",
            Put::Refused => "stores refused",
            Put::Failed(_) => "failures",
        };
        shared.count(what, 1);
        put
    }

    /// Returns whether it was answered.
    fn remove(&mut self, calls: &mut dyn Calls, index: usize) -> bool {
        let (shared, key) = (Arc::clone(&self.shared), self.shared.key(index));
        let before = shared.spell(self.daemon);
        let answered = self.over("remove", calls, |calls| calls.remove(&key));
        // It asked whichever daemon is there. If its lane was that of an earlier one, it gave it up.
        self.asked = before.changes;
        if answered && let Some(segment) = self.unchanged(before) {
            shared.update(index, |versions| versions.removed(segment));
        }
        shared.count(if answered { "removals" } else { "failures" }, 1);
        answered
    }

    fn read(&mut self, calls: &mut dyn Calls, index: usize) -> Got {
        let (shared, key) = (Arc::clone(&self.shared), self.shared.key(index));
        let (spell, before) = (shared.spell(self.daemon), shared.versions(index));
        let got = self.over("get", calls, |calls| calls.get(spell, &key));
        let (segment, after) = (self.unchanged(spell), shared.versions(index));
        let Got::Bytes(bytes) = &got else {
            let what = match &got {
                Got::Absent => "misses",
                Got::Late => "reads after the end of their lease",
                _ => "failures",
            };
            shared.count(what, 1);
            return got;
        };
        if calls.maps_by_name() && shared.spell(self.daemon) != spell {
            shared.count("reads across a change, which do not count", 1);
            return got;
        }
        let client = self.number;
        let of = format!("client=`{client}` key=`{key}` segment=`{segment:?}` spell=`{spell:?}`");
        match Payload::verify(&key, bytes) {
            Err(wrong) => {
                shared.count("wrong bytes", wrong.count);
                shared.fault(format!("wrong bytes, {wrong} {of}"));
            }
            Ok(version) if before.allows(&after, segment, version) => {
                shared.count("hits", 1);
                shared.count("bytes verified", bytes.len() as u64);
            }
            Ok(version)
                if calls.reads_without_asking()
                    && shared.was_left(self.daemon, self.asked, index, version) =>
            {
                shared.count("hits in the index of a daemon that has ended", 1);
            }
            Ok(version) => {
                shared.count("wrong versions", 1);
                let states = format!("before=`{before:?}` after=`{after:?}`");
                shared.fault(format!("a version that cannot be there, {version} {of} {states}"));
            }
        }
        got
    }

    /// Segment that a call reached which was begun in this spell; `None` if it is not known.
    fn unchanged(&self, before: Spell) -> Option<usize> {
        (self.shared.spell(self.daemon) == before).then_some(before.segment)?
    }

    /// Result of a call under the watch.
    fn over<T>(
        &self,
        what: &'static str,
        calls: &mut dyn Calls,
        call: impl FnOnce(&mut dyn Calls) -> T,
    ) -> T {
        let limit = calls.limit();
        let (result, late) = self.shared.watch.over(self.number, what, limit, || call(calls));
        self.shared.count("calls", 1);
        if let Some(late) = late {
            self.shared.count("late calls", 1);
            self.shared.fault(late);
        }
        result
    }
}
