//! Counters of the engine; the catalog counts the rest.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// A total since the start of the daemon.
#[derive(Default, Debug)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn increment(&self) {
        self.add(1);
    }

    pub(crate) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Relaxed);
    }

    /// Adds a span in nanoseconds.
    pub(crate) fn add_time(&self, span: Duration) {
        self.add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX));
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Kind of a counter's amounts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CounterUnit {
    /// Events or objects.
    Count,
    /// Bytes.
    Bytes,
    /// Nanoseconds; shown in seconds.
    Nanoseconds,
}

/// A counter of `S` as operators see it.
#[derive(Debug)]
pub struct CounterRow<S> {
    /// Name of the metric, without the prefix and the endings that the text format appends.
    pub name: &'static str,
    /// Description of the metric.
    pub help: &'static str,
    /// Kind of its amounts.
    pub unit: CounterUnit,
    /// Reads it.
    pub read: fn(&S) -> u64,
}

/// Makes counters from one line each: the field, its unit, and the description that operators see.
/// The field's name is the metric's name.
macro_rules! counters {
    (
        $(#[$doc:meta])* $visibility:vis struct $counters:ident, $snapshot:ident;
        $($name:ident: $unit:ident $help:literal,)*
    ) => {
        $(#[$doc])*
        #[derive(Default, Debug)]
        $visibility struct $counters {
            $(pub(crate) $name: $crate::counters::Counter,)*
        }

        /// Copy of the counters at one moment.
        #[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
        pub struct $snapshot {
            $(#[doc = $help] pub $name: u64,)*
        }

        impl $counters {
            pub(crate) fn snapshot(&self) -> $snapshot {
                $snapshot { $($name: self.$name.get(),)* }
            }
        }

        impl $snapshot {
            /// All counters, as operators see them.
            pub const ROWS: &'static [$crate::counters::CounterRow<Self>] = &[
                $($crate::counters::CounterRow {
                    name: stringify!($name),
                    help: $help,
                    unit: $crate::counters::CounterUnit::$unit,
                    read: |counters| counters.$name,
                },)*
            ];
        }
    };
}

pub(crate) use counters;

counters! {
    /// Totals since the start of the daemon.
    pub(crate) struct Counters, CountersSnapshot;
    lease_waits: Count "Lease requests that waited for a writer",
    lease_wait: Nanoseconds "Time that they waited",
    relinks: Count "How often the segment's public name was put back",
    link_failures: Count "How often it was found gone or taken and could not be put back",
    corrupt_objects: Count "Objects removed since their bytes did not match their checksum",
    reports_confirmed: Count "Clients' reports of corrupt objects that the daemon found corrupt as well",
    reports_unfounded: Count "Clients' reports of corrupt objects that the daemon found intact",
    reports_ignored: Count "Clients' reports of objects that had left, were reported already, or were too many",
    scrubbed: Bytes "Bytes of objects that the scrubber looked at",
    index_reads: Count "Reads without a lease, by the published index, as clients report them",
    objects_unpublished: Count "Objects that the published index had no room for: clients ask for them",
    checkpoint_shards_stored: Count "Shards of checkpoints stored",
    checkpoint_shards_refused: Count "Shards refused since checkpoints, the arena or the disk had no room",
    checkpoint_steps_dropped: Count "Steps of checkpoints that left for newer ones",
    checkpoint_replicas_stored: Count "Shards of checkpoints that were copied to the shared store",
    eviction_changes: Count "How often the live curve chose another eviction policy",
    events: Count "Events for subscribers, counted once for all of them",
    events_lost: Count "How often a subscriber had missed events, and was told",
    capture_calls: Count "Calls written to the capture",
    capture_calls_dropped: Count "Calls that are missing in the capture, since the queue was full or the file could not be written",
    capture_written: Bytes "Bytes written to the capture",
    objects_unrecorded: Count "Objects stored without being recorded, which a restart will not find",
}
