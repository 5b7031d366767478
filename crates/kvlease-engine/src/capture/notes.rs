//! Notes of requests for the capture.

use std::{
    iter,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::SystemTime,
};

use kvlease_cache::Lease;
use kvlease_types::{Caller, Key, Miss, Mode, RETAINED_PREFIX, Timestamp, WriteRefused};

use super::{
    call::{Answer, Call, Item, Op},
    config::CaptureConfig,
    line::{KIND, Lines},
    queue::Queue,
};
use crate::{
    clock::now,
    counters::Counters,
    line_files::{LineFiles, LineFilesError},
};

/// A capture under way.
#[derive(Debug)]
pub(crate) struct Capture {
    pub(super) config: CaptureConfig,
    pub(super) queue: Queue,
    pub(super) counters: Arc<Counters>,
    started: Timestamp,
    /// The same moment, for people.
    pub(super) wall: SystemTime,
    /// Calls that are missing in the file since the last line that said so.
    dropped: AtomicU64,
    /// Until the thread that writes takes them.
    files: Mutex<Option<LineFiles>>,
}

impl Capture {
    /// Begins a capture: the first file has its header when this returns.
    pub(crate) fn begin(
        config: CaptureConfig,
        counters: &Arc<Counters>,
    ) -> Result<Self, LineFilesError> {
        let wall = SystemTime::now();
        let header = Lines::new(config.secret).header(config.id, 0, wall);
        let CaptureConfig { path, file_len_max, files_max, .. } = &config;
        let files = LineFiles::begin(KIND, path, *file_len_max, *files_max, &header)?;
        Ok(Self {
            config,
            queue: Queue::default(),
            counters: Arc::clone(counters),
            started: now(),
            wall,
            dropped: AtomicU64::new(0),
            files: Mutex::new(Some(files)),
        })
    }

    /// Leases, or a read of one object over HTTP.
    pub(crate) fn got(
        &self,
        caller: &Caller,
        bucket: &str,
        keys: &[&str],
        mode: Mode,
        outcomes: &[Result<Lease, Miss>],
    ) {
        let op = if mode == Mode::Prefix { Op::GetPrefix } else { Op::Get };
        let answers =
            outcomes.iter().map(answer_of_lease).chain(iter::repeat((Answer::Unasked, 0)));
        self.note(op, caller, bucket, (keys.len(), keys.iter().zip(answers).map(item)));
    }

    /// Outcomes of keys that were waited for, by their places.
    pub(crate) fn came(
        &self,
        caller: &Caller,
        bucket: &str,
        keys: &[&str],
        places: &[usize],
        outcomes: &[Result<Lease, Miss>],
    ) {
        let items = places.iter().map(|place| {
            let answer = outcomes.get(*place).map_or((Answer::Unasked, 0), answer_of_lease);
            (keys[*place], answer.0, answer.1)
        });
        self.note(Op::Late, caller, bucket, (places.len(), items));
    }

    /// A read of one object over HTTP: its length in bytes if it was there.
    pub(crate) fn read(&self, caller: &Caller, bucket: &str, key: &str, len: Result<u64, &Miss>) {
        let (answer, len) = match len {
            Ok(len) => (Answer::Yes, len),
            Err(miss) => (answer_of_miss(*miss), 0),
        };
        self.note(Op::Get, caller, bucket, (1, iter::once((key, answer, len))));
    }

    /// A look-up, in prefix mode up to and with the first key that is absent.
    pub(crate) fn looked_up(
        &self,
        caller: &Caller,
        bucket: &str,
        keys: &[&str],
        mode: Mode,
        found: &[bool],
    ) {
        let op = if mode == Mode::Prefix { Op::ExistsPrefix } else { Op::Exists };
        let answers = found.iter().map(|there| (yes_or_no(*there), 0));
        let answers = answers.chain(iter::repeat((Answer::Unasked, 0)));
        self.note(op, caller, bucket, (keys.len(), keys.iter().zip(answers).map(item)));
    }

    /// Puts, each with the length of its object in bytes and its outcome.
    pub(crate) fn put<'a>(
        &self,
        caller: &Caller,
        bucket: &str,
        puts: impl ExactSizeIterator<Item = (&'a Key, u64, Option<WriteRefused>)> + Clone,
    ) {
        let count = puts.len();
        let items = puts.map(|(key, len, refused)| {
            let answer = match refused {
                None => Answer::Yes,
                Some(WriteRefused::Exists | WriteRefused::Pending) => Answer::Known,
                Some(_) => Answer::No,
            };
            (key.as_str(), answer, len)
        });
        self.note(Op::Put, caller, bucket, (count, items));
    }

    /// Removals, each with whether there was an object.
    pub(crate) fn removed(
        &self,
        caller: &Caller,
        bucket: &str,
        keys: &[&str],
        were_there: impl Iterator<Item = bool> + Clone,
    ) {
        let answers = were_there.map(|there| (yes_or_no(there), 0));
        self.note(Op::Remove, caller, bucket, (keys.len(), keys.iter().zip(answers).map(item)));
    }

    /// Reads by the published index of objects with these keys and lengths in bytes.
    pub(crate) fn read_by_index<'a>(
        &self,
        caller: &Caller,
        bucket: &str,
        objects: impl ExactSizeIterator<Item = (&'a Key, u64)> + Clone,
    ) {
        let count = objects.len();
        let items = objects.map(|(key, len)| (key.as_str(), Answer::Yes, len));
        self.note(Op::Read, caller, bucket, (count, items));
    }

    /// Wakes the thread that writes.
    pub(crate) fn wake(&self) {
        self.queue.wake();
    }

    fn note<'a>(
        &self,
        op: Op,
        caller: &Caller,
        bucket: &str,
        (count, items): (usize, impl Iterator<Item = Item<'a>> + Clone),
    ) {
        if count == 0 || bucket.starts_with(RETAINED_PREFIX) {
            return;
        }
        let call = Call { op, at: self.now(), caller, bucket };
        if !self.queue.push(&call, count, items) {
            self.lost(1);
        }
    }

    /// Nanoseconds since the begin.
    pub(super) fn now(&self) -> u64 {
        now().since(self.started).as_nanos() as u64
    }

    /// Counts calls that are not in the file.
    pub(super) fn lost(&self, calls: u64) {
        self.dropped.fetch_add(calls, Relaxed);
        self.counters.capture_calls_dropped.add(calls);
    }

    /// Has missing calls told of again, when the line that told of them was not written.
    pub(super) fn tell_again(&self, calls: u64) {
        self.dropped.fetch_add(calls, Relaxed);
    }

    /// Calls that are missing since this was asked for last.
    pub(super) fn take_dropped(&self) -> u64 {
        self.dropped.swap(0, Relaxed)
    }

    pub(super) fn take_files(&self) -> Option<LineFiles> {
        self.files.lock().expect("a panic ends the process").take()
    }
}

fn item<'a>((key, (answer, len)): (&&'a str, (Answer, u64))) -> Item<'a> {
    (*key, answer, len)
}

fn answer_of_lease(outcome: &Result<Lease, Miss>) -> (Answer, u64) {
    match outcome {
        Ok(lease) => (Answer::Yes, lease.len.bytes()),
        Err(miss) => (answer_of_miss(*miss), 0),
    }
}

const fn answer_of_miss(miss: Miss) -> Answer {
    if miss.is_awaited() { Answer::Pending } else { Answer::No }
}

const fn yes_or_no(there: bool) -> Answer {
    if there { Answer::Yes } else { Answer::No }
}
