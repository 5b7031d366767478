//! URL of a remote tier. It may have a password, which is never shown.

use std::{fmt, str::FromStr};

use kvlease_tier::without_credentials;

/// URL of a store. A build without remote tiers takes any with a scheme and a place.
#[derive(Clone, PartialEq, Eq)]
pub struct RemoteUrl(String);

/// The text is no URL of a remote tier, for this reason.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}, or `none`")]
pub struct RemoteUrlError(String);

impl RemoteUrl {
    /// The URL with its credentials, for the store.
    pub fn with_credentials(&self) -> &str {
        &self.0
    }
}

impl FromStr for RemoteUrl {
    type Err = RemoteUrlError;

    fn from_str(text: &str) -> Result<Self, RemoteUrlError> {
        check(text).map(|()| Self(text.to_owned())).map_err(RemoteUrlError)
    }
}

#[cfg(feature = "remote")]
fn check(text: &str) -> Result<(), String> {
    use kvlease_remote::RemoteError;

    kvlease_remote::check(text).map_err(|error| match error {
        RemoteError::Url { reason, .. } => reason,
        other => other.to_string(),
    })
}

#[cfg(not(feature = "remote"))]
fn check(text: &str) -> Result<(), String> {
    let parts = text.split_once("://");
    let is_url = parts.is_some_and(|(scheme, rest)| !scheme.is_empty() && !rest.is_empty());
    is_url.then_some(()).ok_or_else(|| "write a URL such as `s3://BUCKET/PREFIX`".to_owned())
}

impl fmt::Display for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_credentials(&self.0))
    }
}

impl fmt::Debug for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_not_shown() {
        for (url, shown) in [
            ("redis://user:secret@host:1/0", "redis://***@host:1/0"),
            ("rediss-cluster://a:1,b:2/kv", "rediss-cluster://a:1,b:2/kv"),
        ] {
            let url: RemoteUrl = url.parse().expect("a URL");
            assert_eq!((url.to_string(), format!("{url:?}")), (shown.into(), shown.into()));
        }
        for text in ["", "host:1", "://x", "redis://"] {
            text.parse::<RemoteUrl>().expect_err(text);
        }
    }
}
