//! One bad thing at a time, done to a real daemon by real processes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../support/mod.rs"]
mod support;

mod lane;
mod lane_restart;
mod leases;
mod public_name;
mod refusals;
mod restart;
mod uploads;
