//! Reasons why a tier cannot be opened.

use std::path::PathBuf;

/// Reason why a URL names no remote tier. Messages name the key, the URL without its credentials, and
/// the remedy.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RemoteError {
    /// The URL cannot be read.
    #[error("tier.remote.url cannot be used: {reason}, tier.remote.url=`{url}`")]
    Url {
        /// The URL without its credentials.
        url: String,
        /// The mistake, and the form to write.
        reason: String,
    },
    /// The scheme is one of another build.
    #[error(
        "tier.remote.url needs a build with the feature `{feature}`: take the released binary, or \
         build with `--features {feature}`, tier.remote.url=`{url}`"
    )]
    NotBuilt {
        /// The URL without its credentials.
        url: String,
        /// The feature.
        feature: &'static str,
    },
    /// The file of certificates cannot be used.
    #[error(
        "the file of certificates cannot be used: name a PEM file with the certificate of the \
         authority that signed the store's, reason=`{reason}` tier.remote.tls_ca_file=`{}`",
        path.display()
    )]
    CaFile {
        /// The file.
        path: PathBuf,
        /// The mistake.
        reason: String,
    },
    /// The client library refuses the options.
    #[error("the client for tier.remote.url cannot be made: {reason}, tier.remote.url=`{url}`")]
    Client {
        /// The URL without its credentials.
        url: String,
        /// The reason of the library.
        reason: String,
    },
}
