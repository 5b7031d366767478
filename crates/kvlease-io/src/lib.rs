//! Sockets for calls that are answered at once.
//!
//! A daemon on the same machine answers sooner than a runtime hands a call from one thread to
//! another. [`AdaptiveSpin`] waits for such an answer on the thread of the caller, and a
//! [`LazyStream`] is registered with a runtime only when an answer takes longer.

#![forbid(unsafe_code)]

mod busy_poll;
mod lazy_stream;

pub use busy_poll::{AdaptiveSpin, try_now};
pub use lazy_stream::{LazyStream, Stream};
