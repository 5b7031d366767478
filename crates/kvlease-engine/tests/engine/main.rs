//! The engine on a real arena: what its guards undo, and what outlives them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod batch;
mod capture;
mod changes;
mod checkpoint_files;
mod checkpoint_replicas;
mod checkpoints;
mod curve;
mod events;
mod exhaustion;
mod fixture;
mod index;
mod lease;
mod overview;
mod parts;
mod put;
mod quarantine;
mod read;
mod recovery;
mod reservation;
mod spare;
mod tier_quotas;
mod tier_room;
mod tiers;
