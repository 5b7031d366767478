//! URL of a remote tier. It may have a password, which is never shown.

use std::{fmt, str::FromStr};

use kvlease_tier::without_credentials;

/// URL with a scheme.
#[derive(Clone, PartialEq, Eq)]
pub struct RemoteUrl(String);

/// The text is no URL of a remote tier.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("write a URL such as `s3://BUCKET/PREFIX` or `redis://HOST:6379`, or `none`")]
pub struct RemoteUrlError;

impl RemoteUrl {
    /// The URL with its credentials, for the store.
    pub fn with_credentials(&self) -> &str {
        &self.0
    }
}

impl FromStr for RemoteUrl {
    type Err = RemoteUrlError;

    fn from_str(text: &str) -> Result<Self, RemoteUrlError> {
        match text.split_once("://") {
            Some((scheme, rest)) if !scheme.is_empty() && !rest.is_empty() => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(RemoteUrlError),
        }
    }
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
            (
                "s3://bucket?endpoint=http://h:9&token=secret",
                "s3://bucket?endpoint=http://h:9&token=***",
            ),
        ] {
            let url: RemoteUrl = url.parse().expect("a URL");
            assert_eq!((url.to_string(), format!("{url:?}")), (shown.into(), shown.into()));
        }
        for text in ["", "host:1", "://x", "redis://"] {
            text.parse::<RemoteUrl>().expect_err(text);
        }
    }
}
