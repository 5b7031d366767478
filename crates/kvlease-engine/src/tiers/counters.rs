//! Counters of a tier.

use crate::counters::counters;

counters! {
    /// Totals of one tier since the start of the daemon.
    pub(crate) struct TierCounters, TierSnapshot;
    hits: Count "Objects loaded from the tier into the arena",
    loaded: Bytes "Exact sizes of the objects loaded from the tier",
    loading: Nanoseconds "Time of the loads, added up",
    gone: Count "Objects that the tier had forgotten when they were to be loaded",
    lookups: Count "Look-ups that the tier was asked for, each of one or more keys",
    looking_up: Nanoseconds "Time of the look-ups, added up",
    late_lookups: Count "Look-ups whose answer was not waited for any longer",
    stores: Count "Objects that were written to the tier",
    stored: Bytes "Bytes written to the tier, with what it stores beside the objects",
    writing: Nanoseconds "Time of the stores, added up",
    already_there: Count "Objects not written to the tier since it had them",
    held_back: Nanoseconds "Time for which copies to the tier waited to keep below `rate_max`, added up",
    in_place: Bytes "Bytes moved between the device and the arena without a copy",
    queue_full: Count "Objects not written to the tier since the queue was full",
    left_too_early: Count "Objects that left the arena before they were written to the tier",
    unfit: Count "Objects that the tier did not take: too large for it, or it was full",
    corrupt: Count "Objects whose bytes in the tier did not match their checksum or name, and which were dropped",
    errors: Count "Calls that the tier failed, without those that took too long",
    timeouts: Count "Calls that took too long",
    skipped_broken: Count "Loads and stores left out since the tier fails",
    skipped_slow: Count "Loads left out since the tier is slower than computing again",
    no_room: Count "Loads that could not begin at once since the arena had no room for them",
    removals: Count "Objects removed from the tier",
    removal_failures: Count "Objects that could not be removed from the tier, which may still have them",
}
