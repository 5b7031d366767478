//! Exit of the daemon, for its supervisor.

use std::{io, net::SocketAddr, process::ExitCode};

use kvlease_arena::ArenaError;
use kvlease_engine::{LineFilesError, StartError};
use kvlease_nvme::NvmeError;
#[cfg(feature = "remote")]
use kvlease_remote::RemoteError;

#[cfg(not(feature = "remote"))]
use crate::config::RemoteUrl;
use crate::{
    config::{ConfigError, FIRST_ARENA},
    tls::CertificateError,
};

/// Reason why the daemon does not serve. Each kind has its own exit status, after `sysexits.h`.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration cannot be used; nothing was touched. Status 64.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address cannot be listened on. Status 69.
    #[error("cannot listen: {remedy}, {setting}=`{address}`, error=`{source}`")]
    Listen {
        /// The setting of the address.
        setting: String,
        /// The address.
        address: SocketAddr,
        /// Remedy.
        remedy: &'static str,
        /// Error of the system.
        source: io::Error,
    },
    /// The files of a listener's TLS cannot be used; nothing was touched. Status 64.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The socket of the service manager cannot be listened on. Status 69.
    #[error(
        "cannot listen on the first socket of the service manager: give it one ListenStream= with an address and a port, error=`{0}`"
    )]
    Inherited(io::Error),
    /// The socket of the fast lane cannot be had. Status 69 if a daemon listens there, otherwise 73.
    #[error(
        "cannot listen on the socket of the fast lane: {remedy}, server.socket=`{path}`, error=`{source}`"
    )]
    Socket {
        /// Its path.
        path: String,
        /// Remedy.
        remedy: &'static str,
        /// Error of the system.
        source: io::Error,
    },
    /// The segment cannot be had. Status 69 if something else has it, 73 if it cannot be made.
    #[error(transparent)]
    Arena(#[from] ArenaError),
    /// An arena beside the first cannot be had. Status of the reason.
    #[error("in the arena `{arena}`: {source}")]
    InArena {
        /// Its name.
        arena: String,
        /// Reason.
        source: Box<ServeError>,
    },
    /// The engine does not start. Status 71 if it gets no threads, otherwise 73.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The tier on disk cannot be had. Status 69 if another daemon has it, otherwise 73.
    #[error(transparent)]
    Nvme(#[from] NvmeError),
    /// The remote tier cannot be opened: its URL or its file of certificates is of no use.
    /// Status 64.
    #[cfg(feature = "remote")]
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The build has no remote tiers. Status 64.
    #[cfg(not(feature = "remote"))]
    #[error(
        "this build has no remote tiers: take the released binary, or build with `--features remote`, tier.remote.url=`{0}`"
    )]
    NoRemoteTiers(RemoteUrl),
    /// KV events cannot be published. Status 69.
    #[error(
        "cannot listen for subscribers to KV events: stop what listens there, or choose another address, {setting}=`{address}`, error=`{source}`"
    )]
    Events {
        /// The setting.
        setting: &'static str,
        /// Its address.
        address: SocketAddr,
        /// Error of the system.
        source: io::Error,
    },
    /// The build publishes no KV events. Status 64.
    #[cfg(not(feature = "zeromq"))]
    #[error(
        "this build publishes no KV events: take the released binary, or build with `--features zeromq`, events.endpoint=`{0}`"
    )]
    NoZeroMq(crate::config::EventsEndpoint),
    /// The build sends nothing over OTLP. Status 64.
    #[cfg(not(feature = "otlp"))]
    #[error(
        "this build sends no traces and metrics over OTLP: take the released binary, or build with `--features otlp`, otlp.endpoint=`{0}`"
    )]
    NoOtlp(crate::config::OtlpEndpoint),
    /// The audit log or the access log cannot be begun. Status 69 if another daemon writes it, otherwise 73.
    #[error(transparent)]
    LineLog(#[from] LineFilesError),
    /// The system refuses something that every process needs. Status 71.
    #[error("the system refused {what}: raise its limits, error=`{source}`")]
    System {
        /// The resource.
        what: &'static str,
        /// Error of the system.
        source: io::Error,
    },
}

impl ServeError {
    /// The exit status of a daemon that ends with this error.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::InArena { source, .. } => return source.exit_code(),
            Self::Config(_) | Self::Certificate(_) => 64,
            #[cfg(feature = "remote")]
            Self::Remote(_) => 64,
            #[cfg(not(feature = "remote"))]
            Self::NoRemoteTiers(_) => 64,
            #[cfg(not(feature = "zeromq"))]
            Self::NoZeroMq(_) => 64,
            #[cfg(not(feature = "otlp"))]
            Self::NoOtlp(_) => 64,
            Self::Arena(ArenaError::InUse { .. } | ArenaError::NameTaken { .. })
            | Self::Listen { .. }
            | Self::Events { .. }
            | Self::Inherited(_) => 69,
            Self::Socket { source, .. } if source.kind() == io::ErrorKind::AddrInUse => 69,
            Self::System { .. } | Self::Start(StartError::Thread(_)) => 71,
            Self::Nvme(NvmeError::InUse { .. })
            | Self::Start(StartError::Capture(LineFilesError::InUse { .. }))
            | Self::LineLog(LineFilesError::InUse { .. }) => 69,
            Self::Socket { .. }
            | Self::Arena(_)
            | Self::Start(_)
            | Self::Nvme(_)
            | Self::LineLog(_) => 73,
        })
    }

    /// The error with the arena that it is about, if that is not the first.
    pub(crate) fn in_arena(self, name: &str) -> Self {
        match name {
            FIRST_ARENA => self,
            name => Self::InArena { arena: name.to_owned(), source: Box::new(self) },
        }
    }

    pub(crate) fn listen(setting: &str, address: SocketAddr, source: io::Error) -> Self {
        let remedy = match source.kind() {
            io::ErrorKind::AddrInUse => "stop what listens there, or choose another port",
            io::ErrorKind::AddrNotAvailable => "choose an address of this machine",
            io::ErrorKind::PermissionDenied => "choose a port above 1023",
            _ => "choose another address",
        };
        Self::Listen { setting: setting.to_owned(), address, remedy, source }
    }
}
