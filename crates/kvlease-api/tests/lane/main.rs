//! The frames of the fast lane: their bytes, their meaning, and what happens to bytes that are
//! none. `KVLEASE_TEST_SEED` replays a run, `KVLEASE_TEST_ROUNDS` makes it longer.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod document;
mod golden;
mod limits;
mod mutation;
mod round_trip;
mod samples;
