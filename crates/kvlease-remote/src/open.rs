//! From a URL to a tier.

use std::sync::Arc;

use kvlease_tier::Tier;

use crate::{
    authorities::Authorities, directory::WithDirectory, error::RemoteError, location::Location,
    options::Options,
};

/// Schemes of URLs that this build takes, and the kind of store that each is for.
pub const SCHEMES: &[(&str, &str)] = &[
    #[cfg(feature = "s3")]
    ("s3", "S3-compatible object storage"),
    #[cfg(feature = "valkey")]
    ("redis", "Valkey or Redis"),
    #[cfg(feature = "valkey")]
    ("rediss", "Valkey or Redis over TLS"),
    #[cfg(feature = "valkey")]
    ("redis-cluster", "a cluster of Valkey or Redis"),
    #[cfg(feature = "valkey")]
    ("rediss-cluster", "a cluster of Valkey or Redis over TLS"),
];

/// Checks a URL without opening its tier. Whether this build has its kind of store is not looked at.
///
/// # Errors
///
/// [`RemoteError::Url`] if the URL names no tier.
pub fn check(url: &str) -> Result<(), RemoteError> {
    Location::parse(url).map(drop)
}

/// Opens the tier at a URL. Nothing is connected yet: a store that is not there makes calls fail, and
/// not this one.
///
/// Call it inside a tokio runtime: the tier's background work is spawned there.
///
/// # Errors
///
/// [`RemoteError`] if the URL names no tier that this build knows, or the file of certificates cannot
/// be used.
pub fn open(url: &str, options: &Options) -> Result<Arc<dyn Tier>, RemoteError> {
    let location = Location::parse(url)?;
    let authorities = Authorities::read(options.tls_ca_file.as_deref())?;
    match location {
        #[cfg(feature = "valkey")]
        Location::Valkey(location) => {
            let shown = location.shown.clone();
            let tier = crate::valkey::Valkey::new(location, options, &authorities);
            let tier = tier
                .map_err(|error| RemoteError::Client { url: shown, reason: error.to_string() })?;
            Ok(Arc::new(WithDirectory::new(tier, options)))
        }
        #[cfg(not(feature = "valkey"))]
        Location::Valkey(location) => {
            Err(RemoteError::NotBuilt { url: location.shown, feature: "valkey" })
        }
        #[cfg(feature = "s3")]
        Location::S3(location) => {
            let url = location.shown.clone();
            let tier = crate::s3::S3::new(location, options, &authorities);
            let tier = tier.map_err(|reason| RemoteError::Client { url, reason })?;
            Ok(Arc::new(WithDirectory::new(tier, options)))
        }
        #[cfg(not(feature = "s3"))]
        Location::S3(location) => Err(RemoteError::NotBuilt { url: location.shown, feature: "s3" }),
    }
}
