//! The soak: clients as processes, a supervisor that kills and replaces them, and the verdict.
//!
//! Writers and readers share nothing but two small files: the `versions` of the keys, from which
//! a reader knows which versions it may see, and each client's `ledger`, which outlives it.

mod client;
pub(crate) mod filler;
mod fleet;
pub(crate) mod grant;
mod held;
mod ledger;
mod reader;
mod report;
mod supervisor;
mod versions;
pub(crate) mod workload;
pub(crate) mod writer;

pub use client::{ClientArgs, Role};
pub use ledger::Count;
pub use report::Report;
pub(crate) use report::named;
pub use supervisor::{SoakArgs, run};

/// Runs one client until it is killed.
///
/// # Errors
///
/// Whatever keeps it from going on; nothing that the daemon answers does.
pub fn run_client(role: Role, args: &ClientArgs) -> anyhow::Result<()> {
    client::run(role, args)
}

/// The bucket of all objects of a soak.
const BUCKET: &str = "soak";
