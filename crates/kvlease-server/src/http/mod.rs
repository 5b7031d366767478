//! HTTP/1.1: connections, routes and replies.
//!
//! hyper parses and frames; the routes behind it are written by hand, since they are few, need
//! the raw path, and lie on the way of every request.

mod accept;
mod accounted;
mod admin;
mod admission;
mod answered;
mod apart;
mod body;
mod buckets;
mod checkpoint;
mod connection;
mod curve;
mod encrypted;
mod events;
mod eviction;
mod framing;
mod gate;
mod heads;
mod history;
mod host_names;
mod kv;
mod lease;
mod list;
mod listener;
mod negotiation;
mod page;
mod pieces;
mod put;
mod reader_rate;
mod records;
mod reply;
mod routes;
mod status_page;
mod tiers;
mod upload;
mod watched;

pub(crate) use accept::accept;
pub(crate) use admission::Admission;
pub(crate) use listener::Listener;
