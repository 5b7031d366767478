//! TLS of listeners: certificates, what clients' certificates say, and handshakes.

mod certificates;
mod client_names;
mod error;
mod files;
mod handshake;
mod reread;

pub(crate) use certificates::Certificates;
pub(crate) use client_names::ClientNames;
pub use error::CertificateError;
pub(crate) use handshake::{accept, refuse_plain};
pub(crate) use reread::reread;
