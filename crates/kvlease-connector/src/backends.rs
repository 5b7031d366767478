//! The choice between the backends, and the fall-back from one to the other.
//!
//! The fast lane is asked first, if it is open. HTTP is asked for everything that the lane leaves
//! unanswered, as when it breaks on the way.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use kvlease_http::{Error, PutBody, PutOutcome, PutParts};
use kvlease_lane::{Lane, LaneError, Post, WeakLane};
use kvlease_types::{ByteSize, Key};
use tokio::runtime::Handle;

use super::{
    backend::{Answers, Backend, HttpBackend, LaneBackend},
    copier::Copier,
    lane_manager::LaneManager,
    lease::Lease,
    notice::Notice,
    terms::Terms,
};

/// The backends of one connector.
#[derive(Debug)]
pub(super) struct Backends {
    pub(super) http: HttpBackend,
    lane: LaneManager,
    /// Lanes that puts were posted over, most often one. Never locked across an await.
    posting: Mutex<Vec<WeakLane>>,
    terms: Arc<Terms>,
    copier: Arc<Copier>,
}

/// Makes a call about `$count` keys over the lane if it is open, and over HTTP from the first key
/// on that the lane has not answered. `$from` is the number of that key.
macro_rules! with_fallback {
    ($backends:ident, $count:expr, |$backend:ident, $from:ident| $call:expr) => {{
        let mut answers = match $backends.lane().await {
            Some(lane) => {
                let ($backend, $from) = (&lane, 0);
                $call.await
            }
            None => Answers::new(),
        };
        if answers.len() < $count {
            let ($backend, $from) = (&$backends.http, answers.len());
            answers.extend($call.await);
        }
        answers
    }};
}

impl Backends {
    pub(super) fn new(terms: &Arc<Terms>, copier: &Arc<Copier>) -> Self {
        Self {
            http: HttpBackend::with_terms(terms),
            lane: LaneManager::default(),
            posting: Mutex::default(),
            terms: Arc::clone(terms),
            copier: Arc::clone(copier),
        }
    }

    /// Leases objects; `None` is a miss. The answers end where no backend can lease: without shared
    /// memory.
    pub(super) async fn acquire(&self, keys: &[&Key]) -> Answers<Option<Lease>> {
        with_fallback!(self, keys.len(), |backend, from| async {
            let leases = backend.acquire(&keys[from..]).await.into_iter();
            let leases = leases.map(|answer| answer.map(|lease| lease.map(Lease::from)));
            leases.collect::<Answers<_>>()
        })
    }

    /// Extends a lease over the backend that it came from.
    pub(super) async fn renew(
        &self,
        key: &Key,
        lease: &mut Lease,
        ttl: Duration,
    ) -> Result<(), Error> {
        let is_renewed = match lease {
            Lease::Http(lease) => self.http.renew(lease, ttl).await?,
            Lease::Lane(lease) => self.over(lease.lane()).renew(lease, ttl).await?,
            Lease::Unleased(_) => false,
        };
        if is_renewed { Ok(()) } else { Err(Error::LeaseEnded { key: key.clone() }) }
    }

    /// Sends the releases that wait for others to go with them.
    pub(super) fn flush(&self) {
        self.http.flush();
        if let Some(lane) = self.lane.open_lane() {
            self.over(lane).flush();
        }
    }

    /// The objects of all keys, if the published index names each and they can be read without a lease.
    /// Empty without an index, and if one has to be asked for: what comes from a tier by then takes the
    /// place of what is not leased.
    pub(super) fn find_indexed(&self, keys: &[&Key]) -> Vec<Option<Lease>> {
        let Some(lane) = self.indexed_lane() else { return Vec::new() };
        let find = |key: &Key| {
            let object = lane.find_indexed(key)?;
            // One that is too large goes the way of all others, which counts it.
            self.terms.is_within(object.len()).then(|| Lease::Unleased(object.into()))
        };
        let found: Option<Vec<_>> = keys.iter().map(|key| find(key).map(Some)).collect();
        let found = found.unwrap_or_default();
        self.terms.counters.index_hits.add(found.len() as u64);
        found
    }

    /// Whether the index names an object that a look-up counts. No call is made: `false` says nothing.
    pub(super) fn finds_in_index(&self, key: &Key) -> bool {
        let found = self.indexed_len(key).is_some();
        self.terms.counters.index_hits.add(u64::from(found));
        found
    }

    /// Length of an object that a look-up counts, if the index names it.
    pub(super) fn indexed_len(&self, key: &Key) -> Option<ByteSize> {
        let len = self.indexed_lane()?.indexed_len(key.as_str())?;
        self.terms.is_within(len).then_some(len)
    }

    /// How many of the keys the index names, as objects that a look-up counts, before the first other one.
    pub(super) fn count_indexed<'k>(&self, keys: impl Iterator<Item = &'k str>) -> usize {
        let indexed = |lane: Lane| keys.take_while(|key| self.is_indexed(&lane, key)).count();
        let indexed = self.indexed_lane().map_or(0, indexed);
        self.terms.counters.index_hits.add(indexed as u64);
        indexed
    }

    /// Reports objects that the index names as used.
    pub(super) fn touch(&self, keys: &[Key]) -> usize {
        let Some(lane) = self.indexed_lane() else { return 0 };
        keys.iter().filter(|key| lane.touch(key)).count()
    }

    /// Which objects exist, without counting.
    pub(super) async fn exists(&self, keys: &[&Key]) -> Answers<bool> {
        let Some(lane) = self.indexed_lane() else { return self.ask_exists(keys).await };
        let mut found: Answers<bool> = Vec::with_capacity(keys.len());
        found.extend(keys.iter().map(|key| Ok(self.is_indexed(&lane, key.as_str()))));
        let unknown = |place: &usize| matches!(found[*place], Ok(false));
        let unknown: Vec<usize> = (0..keys.len()).filter(unknown).collect();
        self.terms.counters.index_hits.add((keys.len() - unknown.len()) as u64);
        if !unknown.is_empty() {
            let wanted: Vec<&Key> = unknown.iter().map(|place| keys[*place]).collect();
            for (place, answer) in unknown.into_iter().zip(self.ask_exists(&wanted).await) {
                found[place] = answer;
            }
        }
        found
    }

    /// How many objects exist before the first one that does not, without counting.
    pub(super) async fn count_prefix(&self, keys: &[Key]) -> Result<usize, Error> {
        let indexed = self.count_indexed(keys.iter().map(Key::as_str));
        let rest = &keys[indexed..];
        if rest.is_empty() {
            return Ok(indexed);
        }
        if let Some(lane) = self.lane().await
            && let Some(count) = lane.count_prefix(rest).await
        {
            return Ok(indexed + count?);
        }
        Ok(indexed + self.http.count_prefix(rest).await.unwrap_or(Ok(0))?)
    }

    /// Asks the daemon which objects exist.
    async fn ask_exists(&self, keys: &[&Key]) -> Answers<bool> {
        with_fallback!(self, keys.len(), |backend, from| backend.exists(&keys[from..]))
    }

    /// The open lane, if there is an index to read.
    fn indexed_lane(&self) -> Option<Lane> {
        self.lane.open_lane().filter(Lane::has_index)
    }

    /// Whether the index names an object that a look-up counts.
    fn is_indexed(&self, lane: &Lane, key: &str) -> bool {
        lane.indexed_len(key).is_some_and(|len| self.terms.is_within(len))
    }

    /// Stores objects, without counting.
    pub(super) async fn put(&self, objects: &mut [(&Key, PutBody)]) -> Answers<PutOutcome> {
        let answers = match self.lane().await {
            Some(lane) => lane.put(objects).await,
            None => objects.iter().map(|_| None).collect(),
        };
        let unanswered = objects.iter_mut().zip(&answers).filter(|(_, answer)| answer.is_none());
        let mut unanswered: Vec<_> =
            unanswered.map(|((key, body), _)| (*key, body.take())).collect();
        let mut over_http = match unanswered.is_empty() {
            true => Vec::new(),
            false => self.http.put(&mut unanswered).await,
        }
        .into_iter()
        .flatten();
        let answered = |answer: Option<_>| {
            answer.unwrap_or_else(|| over_http.next().expect("every put over HTTP is answered"))
        };
        answers.into_iter().map(answered).collect()
    }

    /// Posts one object over the lane. False if it is to be stored as others are.
    pub(super) async fn post(
        &self,
        key: &Key,
        parts: PutParts,
        post: Post<'_>,
    ) -> Result<bool, Error> {
        let Some(lane) = self.lane().await else { return Ok(false) };
        self.note_posting(lane.lane());
        lane.post(key, &parts, post).await
    }

    /// Waits for the answers to posted puts over all lanes. Returns whether some did not come in time.
    pub(super) async fn flush_posted(&self) -> bool {
        let limit = self.terms.config.client.timeouts.call;
        let lanes: Vec<_> = self.lock_posting().iter().filter_map(WeakLane::upgrade).collect();
        let mut timed_out = false;
        for lane in lanes {
            let flushed = lane.flush_posted(limit).await;
            timed_out |= matches!(flushed, Err(LaneError::TimedOut { .. }));
        }
        timed_out
    }

    /// Notes that puts are posted over a lane.
    fn note_posting(&self, lane: &Lane) {
        let mut posting = self.lock_posting();
        if !posting.last().is_some_and(|last| last.is(lane)) {
            posting.retain(|other| !other.is(lane) && other.upgrade().is_some());
            posting.push(lane.downgrade());
        }
    }

    fn lock_posting(&self) -> MutexGuard<'_, Vec<WeakLane>> {
        // Nothing in the sections can panic half way.
        self.posting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes objects; `false` for what was not there, and for a daemon that removes none.
    pub(super) async fn remove(&self, keys: &[&Key]) -> Answers<bool> {
        with_fallback!(self, keys.len(), |backend, from| backend.remove(&keys[from..]))
    }

    /// Reports an object whose bytes did not match its checksum, if the daemon takes reports. The
    /// daemon looks itself: this client may have mapped another segment.
    pub(super) fn report_corrupt(&self, key: &Key, generation: Option<u64>, runtime: &Handle) {
        if self.is_fast() || self.http.client.speaks_extensions() {
            // Best effort: the next reader finds it corrupt again.
            let (client, key) = (self.http.client.clone(), key.clone());
            runtime.spawn(async move { client.report(&key, generation).await });
        }
    }

    /// Whether the lane is open.
    pub(super) fn is_fast(&self) -> bool {
        self.lane.open_lane().is_some()
    }

    /// How many leases came over lanes so far, and how many of them have ended.
    pub(super) fn lane_leases(&self) -> (u64, u64) {
        self.lane.leases()
    }

    /// The oldest notice about the segment or the lane.
    pub(super) fn take_notice(&self) -> Option<Notice> {
        self.http.take_notice().or_else(|| self.lane.take_notice())
    }

    /// Closes all connections and unmaps the segment. The lane is not opened again.
    pub(super) fn release_resources(&self) {
        self.lane.close();
        self.http.release_resources();
    }

    /// The lane, if there is one to be taken.
    pub(super) async fn lane(&self) -> Option<LaneBackend> {
        let lane = self.lane.lane(&self.http.client, &self.terms.config).await;
        lane.map(|lane| self.over(lane))
    }

    fn over(&self, lane: Lane) -> LaneBackend {
        LaneBackend::new(lane, Arc::clone(&self.terms), Arc::clone(&self.copier))
    }
}
