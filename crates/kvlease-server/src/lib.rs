//! The daemon: configuration, sockets, routes, metrics.
//!
//! [`run()`] is `kvlease serve` from its flags to its exit status. [`Server`] is the same daemon
//! inside another process, for tests and benchmarks.

#![forbid(unsafe_code)]

mod accept_refusals;
mod access;
mod access_log;
mod announcement;
mod answer_times;
mod audit;
mod bounded_file;
mod capture;
pub mod config;
mod connection_limit;
mod connection_memory;
mod context;
mod exit;
mod history;
mod hosted;
mod http;
mod kv_events;
mod lane;
mod lease_ids;
mod line_log;
mod list_tokens;
mod listening;
mod logging;
mod metrics;
mod otlp;
mod preflight;
mod quotas;
mod random;
mod request_ids;
mod request_scope;
mod rereads;
mod run;
mod sampler;
mod scheduling;
mod segment;
mod server;
mod signals;
mod sizing;
mod start_limits;
mod status;
mod tagged_lines;
mod taken;
mod tiers;
mod tls;
mod trim;
mod welcome;

#[cfg(fuzzing)]
#[doc(hidden)]
pub use access::parse_token_file;
pub use access::{
    Need, Right, check_token_file, need_of_endpoint, need_of_frame, tenants_that_share,
};
pub use config::ServeArgs;
pub use exit::ServeError;
pub use kvlease_arena::ArenaError;
pub use kvlease_nvme::NvmeError;
pub use preflight::{arenas_fit, certificates, disk_fits, guarantees_fit, store_answers};
pub use run::run;
pub use segment::remove_segment;
pub use server::Server;
pub use signals::{StopSignal, StopSignals};
pub use tls::CertificateError;
