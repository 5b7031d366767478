//! Words of the command line.

use clap::ValueEnum;

/// Speed of a replay against a daemon.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Speed {
    /// As fast as the daemon answers.
    Max,
    /// Times the speed of the trace.
    Times(f64),
}

/// How requests are given to nodes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum Routing {
    /// One node after the other.
    RoundRobin,
    /// By the first block of the prompt: what begins in the same way goes to the same node.
    Affinity,
}

impl Routing {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::RoundRobin => "round-robin",
            Self::Affinity => "affinity",
        }
    }
}
