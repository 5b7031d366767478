//! The object that a drill process works on, and its way to it.

use crate::clients::{Place, Way};

/// Object of a drill process: daemon, way, bucket and key.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Subject {
    #[command(flatten)]
    pub(super) place: Place,
    /// Way of the requests
    #[arg(long)]
    pub(super) way: Way,
    /// Bucket of the object
    #[arg(long)]
    pub(super) bucket: String,
    /// Key of the object
    #[arg(long)]
    pub(super) key: String,
}
