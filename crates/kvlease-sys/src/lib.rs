//! System calls, shared memory and the memory of callers, behind a safe surface.
//!
//! The one crate of the workspace that uses `unsafe`. Its promises to the others:
//!
//! * [`Mapping`] copies bytes into and out of a shared mapping, sums them on the way, and accesses
//!   single words atomically. It checks every bound, and never forms a reference to plain bytes.
//! * Every byte that enters or leaves shared memory goes through the [`copy`] module.
//! * [`Digest`] is the checksum of objects, XXH3-64, in a form that a copy carries along.
//! * [`IoBuffer`] is memory for direct I/O, and [`Ring`] moves it to and from a file with io_uring.
//! * [`ExternalBytes`] and [`ExternalBuffer`] are memory of a caller with a [`KeepAlive`], and
//!   [`ExternalMemory`] is memory that many calls borrow regions of.
//!
//! Bytes of shared memory are hostile: clients may write to them at any time. Nothing may be parsed
//! from them, and a caller that copies bytes out compares their checksum.

#![expect(unsafe_code, reason = "mapping and copying shared memory has no safe form")]

mod access;
mod clock;
pub mod copy;
mod descriptor;
mod digest;
mod external;
mod external_memory;
#[cfg(feature = "python")]
mod external_python;
mod file_stamp;
mod fingerprint;
mod generations;
mod guard;
mod heap;
mod identity;
mod index_table;
mod io_buffer;
#[cfg(feature = "python")]
mod mapped_python;
mod mapping;
mod process;
mod ring;
mod sigbus;
mod sockopt;
mod words;
mod xxh3;

pub use access::Access;
pub use clock::{boot_id, boot_time, boot_time_shift_nanos};
pub use descriptor::reopen;
pub use digest::Digest;
pub use external::{ExternalBuffer, ExternalBytes, ExternalVec, KeepAlive};
pub use external_memory::{ExternalMemory, RegionError};
#[cfg(feature = "python")]
pub use external_python::NewBytes;
pub use file_stamp::FileStamp;
pub use fingerprint::{Fingerprint, FingerprintKey, KeyFingerprints};
pub use generations::GenerationTable;
pub use heap::{bound_heaps, trim_heap};
pub use identity::Identity;
pub use index_table::{IndexCell, IndexTable};
pub use io_buffer::IoBuffer;
#[cfg(feature = "python")]
pub use mapped_python::MappedBytes;
pub use mapping::{Advice, MappedExtent, Mapping, PAGE};
pub use process::{OfProcess, process_id};
pub use ring::{Ring, RingCompletion, RingWaker};
pub use sigbus::explain_sigbus;
pub use sockopt::{set_receive_low_water, set_unsent_low_water};
pub use words::{Cell, Word};
