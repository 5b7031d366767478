//! The object that a drill process works on, and its way to it.

use crate::clients::{Target, Way};

/// Object of a drill process, and the way of its requests.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Subject {
    #[command(flatten)]
    pub(super) target: Target,
    /// Way of the requests
    #[arg(long)]
    pub(super) way: Way,
}
