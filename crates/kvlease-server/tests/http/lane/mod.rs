//! The fast lane over a real socket: every frame, and every lie.

pub(crate) mod client;
mod end;
mod frames;
mod handshake;
mod index;
mod lease;
mod memory;
mod prepare;
mod reserve;
mod wait;
