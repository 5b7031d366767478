//! Addresses of a daemon, and ways of a request to it.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf};

use anyhow::Context;
use kvlease_client::SegmentName;
use kvlease_harness::Daemon;

/// Addresses of a daemon that its clients need.
#[derive(Clone, Debug, clap::Args)]
pub struct Place {
    /// Address that the daemon listens on
    #[arg(long)]
    pub address: SocketAddr,
    /// Name of its segment
    #[arg(long)]
    pub segment: SegmentName,
    /// Socket of its fast lane
    #[arg(long)]
    pub socket: PathBuf,
}

impl Place {
    /// Addresses of this daemon.
    ///
    /// # Errors
    ///
    /// If the name of its segment is not one, or if it announces no fast lane.
    pub fn of(daemon: &Daemon) -> anyhow::Result<Self> {
        let socket = daemon.announced_socket()?.context("the daemon announces no fast lane")?;
        Ok(Self { address: daemon.address(), segment: daemon.segment().name().parse()?, socket })
    }

    /// Command-line arguments that name this place to another process.
    pub fn arguments(&self) -> [OsString; 6] {
        [
            "--address".into(),
            self.address.to_string().into(),
            "--segment".into(),
            self.segment.to_string().into(),
            "--socket".into(),
            self.socket.clone().into(),
        ]
    }
}

/// Object of a process: the daemon's addresses, the bucket and the key.
#[derive(Clone, Debug, clap::Args)]
pub struct Target {
    #[command(flatten)]
    pub place: Place,
    /// Bucket of the object
    #[arg(long)]
    pub bucket: String,
    /// Key of the object
    #[arg(long)]
    pub key: String,
}

/// Way of a request to the daemon.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Way {
    /// Over HTTP.
    Http,
    /// Over the fast lane.
    Lane,
}
