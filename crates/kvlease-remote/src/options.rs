//! Options of a remote tier.

use std::{path::PathBuf, time::Duration};

use kvlease_types::ByteSize;

use crate::secret::Secret;

/// How a tier decides that a store cannot have an object.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Lookup {
    /// By the directory that all nodes publish in the store: a name that no node published is absent
    /// without a call.
    #[default]
    Directory,
    /// By asking the store, every time.
    Always,
}

/// Options of a remote tier, apart from its URL.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of this node in the directory; no two nodes have the same.
    pub node: String,
    /// How the tier decides that the store cannot have an object.
    pub lookup: Lookup,
    /// The longest time in which a connection is opened.
    pub connect_timeout: Duration,
    /// The longest time of a round trip; a transfer of a large object takes several.
    pub call_timeout: Duration,
    /// Memory of all transfers of the tier together.
    pub buffers: ByteSize,
    /// Password for Valkey and Redis; it takes the place of the one in the URL.
    pub password: Option<Secret>,
    /// PEM file with certificates of authorities that are trusted beside the system's.
    pub tls_ca_file: Option<PathBuf>,
    /// Access key for S3; it takes the place of the credentials of the environment and the machine.
    pub access_key: Option<AccessKey>,
}

/// Access key of S3.
#[derive(Clone, Debug)]
pub struct AccessKey {
    /// Its ID.
    pub id: Secret,
    /// Its secret.
    pub secret: Secret,
}

impl Options {
    /// The default of [`Self::connect_timeout`].
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
    /// The default of [`Self::call_timeout`].
    pub const CALL_TIMEOUT: Duration = Duration::from_secs(5);
    /// The default of [`Self::buffers`].
    pub const BUFFERS: ByteSize = ByteSize::mib(64);

    /// Options of the node with this name, everything else by default.
    pub fn new(node: impl Into<String>) -> Self {
        Self {
            node: node.into(),
            lookup: Lookup::default(),
            connect_timeout: Self::CONNECT_TIMEOUT,
            call_timeout: Self::CALL_TIMEOUT,
            buffers: Self::BUFFERS,
            password: None,
            tls_ca_file: None,
            access_key: None,
        }
    }
}
