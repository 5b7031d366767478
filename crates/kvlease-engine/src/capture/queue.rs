//! Queue between requests and the thread that writes the capture.
//!
//! It has several parts, each with a lock of its own that is only tried: a request that finds one taken
//! goes on to the next. The order of calls over all parts is that of their numbers.

use std::{
    array,
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    thread::{self, Thread},
};

use super::call::{self, Call, Item};

/// Number of parts: as many requests put their calls down at the same time.
const PARTS: usize = 8;

/// Bytes of a part; as much again is being written.
const PART_LEN: usize = 1 << 20;

/// Bytes in a part with which the thread is woken.
const WAKE_LEN: usize = PART_LEN / 2;

/// Calls that were not written yet.
#[derive(Debug)]
pub(super) struct Queue {
    parts: [Mutex<Vec<u8>>; PARTS],
    /// Number of the next call.
    next: AtomicU64,
    /// The thread that writes.
    writer: OnceLock<Thread>,
}

/// Contents of all parts.
#[derive(Default, Debug)]
pub(super) struct Taken {
    parts: [Vec<u8>; PARTS],
    /// Calls behind others that are missing still.
    early: Vec<u8>,
}

impl Default for Queue {
    fn default() -> Self {
        Self { parts: array::from_fn(|_| part()), next: AtomicU64::new(0), writer: OnceLock::new() }
    }
}

impl Queue {
    /// Appends a call with this number of keys. Returns false if there is no room for it, or every part is
    /// taken.
    pub(super) fn push<'a>(
        &self,
        call: &Call<'_>,
        keys: usize,
        items: impl Iterator<Item = Item<'a>> + Clone,
    ) -> bool {
        let len = call::len(call.bucket, items.clone().map(|(key, ..)| key.len()));
        let first = call.caller.connection() as usize;
        for turn in 0..PARTS {
            let Ok(mut part) = self.parts[first.wrapping_add(turn) % PARTS].try_lock() else {
                continue;
            };
            let before = part.len();
            if before + len > PART_LEN {
                continue;
            }
            // Numbered under the lock: see `take`.
            let sequence = self.next.fetch_add(1, SeqCst);
            call::write(&mut part, call, (len, sequence, keys), items);
            drop(part);
            if before < WAKE_LEN && before + len >= WAKE_LEN {
                self.wake();
            }
            return true;
        }
        false
    }

    /// Makes the calling thread the one that is woken.
    pub(super) fn attach_writer(&self) {
        // A second one would be woken in vain only.
        let _ = self.writer.set(thread::current());
    }

    /// Wakes the thread that writes.
    pub(super) fn wake(&self) {
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
    }

    /// Takes all calls out, and hands them over in their order. With `all` nothing is kept back.
    pub(super) fn take(
        &self,
        taken: &mut Taken,
        all: bool,
        mut each: impl FnMut(&call::Record<'_>),
    ) {
        // Every call with a lower number is in a part by now, or its request holds the part's lock.
        let before = if all { u64::MAX } else { self.next.load(SeqCst) };
        for (part, spare) in self.parts.iter().zip(&mut taken.parts) {
            if spare.capacity() == 0 {
                *spare = part_of_reader();
            }
            spare.clear();
            std::mem::swap(&mut *part.lock().expect("a panic ends the process"), spare);
        }
        let early = std::mem::take(&mut taken.early);
        let bytes = taken.parts.iter().chain([&early]);
        let mut calls: Vec<_> = bytes.flat_map(|bytes| call::records(bytes)).collect();
        calls.sort_unstable_by_key(|(record, _)| record.sequence);
        for (record, whole) in calls {
            if record.sequence < before {
                each(&record);
            } else {
                taken.early.extend_from_slice(whole);
            }
        }
    }
}

fn part() -> Mutex<Vec<u8>> {
    Mutex::new(part_of_reader())
}

fn part_of_reader() -> Vec<u8> {
    Vec::with_capacity(PART_LEN)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use kvlease_types::Caller;

    use super::{
        super::call::{Answer, Op},
        *,
    };

    fn push(queue: &Queue, connection: u32, number: u64, key: &str) -> bool {
        let caller = Caller::lane(connection, 0, 0, None);
        let call = Call { op: Op::Get, at: number, caller: &caller, bucket: "b" };
        queue.push(&call, 1, [(key, Answer::Yes, number)].into_iter())
    }

    #[test]
    fn a_queue_that_is_full_takes_nothing_and_goes_on_once_it_was_emptied() {
        let (queue, mut taken) = (Queue::default(), Taken::default());
        let long = "k".repeat(2_048);
        let mut fit = 0;
        while push(&queue, 0, fit, &long) {
            fit += 1;
        }
        let each = call::len("b", [long.len()].into_iter());
        assert_eq!(fit as usize, PARTS * (PART_LEN / each), "all parts are used");
        assert!(!push(&queue, 1, fit, &long));
        for _ in 0..2 {
            let mut found = Vec::new();
            queue.take(&mut taken, false, |record| found.push(record.at));
            assert_eq!(found, (0..fit).collect::<Vec<_>>());
            (0..fit).for_each(|number| assert!(push(&queue, 0, number, &long)));
        }
    }

    #[test]
    fn calls_of_many_threads_come_out_in_one_order_without_a_gap() {
        const CALLS: u64 = 5_000;
        let (queue, ended) = (Queue::default(), AtomicBool::new(false));
        let (mut sequences, mut of_thread) = (Vec::new(), vec![0; 4]);
        thread::scope(|scope| {
            let writers: Vec<_> = (0..4)
                .map(|thread| {
                    let queue = &queue;
                    scope.spawn(move || {
                        (0..CALLS).for_each(|number| while !push(queue, thread, number, "key") {});
                    })
                })
                .collect();
            let reader = scope.spawn(|| {
                let mut taken = Taken::default();
                let mut is_last = false;
                while !is_last {
                    is_last = ended.load(SeqCst);
                    queue.take(&mut taken, is_last, |record| {
                        sequences.push(record.sequence);
                        let thread = record.connection as usize % 4;
                        assert_eq!(
                            record.at, of_thread[thread],
                            "calls of a thread keep their order"
                        );
                        of_thread[thread] += 1;
                    });
                }
            });
            writers.into_iter().for_each(|writer| writer.join().unwrap());
            ended.store(true, SeqCst);
            reader.join().unwrap();
        });
        assert_eq!(sequences, (0..4 * CALLS).collect::<Vec<_>>());
        assert_eq!(of_thread, [CALLS; 4]);
    }
}
