//! The soak: clients as processes, a supervisor that kills and replaces them, and the verdict.
//!
//! Writers and readers share nothing but two small files: the oracle's, from which a reader knows
//! which versions it may see, and the progress file of each client, which outlives it.

mod client;
mod kept;
mod process_pool;
mod progress;
mod reader;
mod report;
mod session;
mod supervisor;
mod writer;

pub use client::{ClientArgs, Role, run as run_client};
pub use report::Report;
pub use supervisor::{SoakArgs, run};
