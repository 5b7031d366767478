//! One bad thing at a time, done to a real daemon by real processes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod fixture;
mod lane;
mod lane_restart;
mod leases;
mod process;
mod public_name;
mod refusals;
mod restart;
mod store;
mod uploads;
