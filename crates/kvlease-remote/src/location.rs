//! URLs of remote tiers.

mod parts;
mod s3;
mod valkey;

pub(crate) use s3::S3Location;
#[cfg(feature = "valkey")]
pub(crate) use valkey::Server;
pub(crate) use valkey::ValkeyLocation;

use kvlease_tier::without_credentials;

use crate::error::RemoteError;

/// Where a remote tier is.
#[derive(Debug)]
pub(crate) enum Location {
    /// An S3-compatible store.
    S3(S3Location),
    /// A Valkey or Redis server, or a cluster of them.
    Valkey(ValkeyLocation),
}

impl Location {
    /// Reads a URL.
    pub(crate) fn parse(url: &str) -> Result<Self, RemoteError> {
        let refuse = |reason: String| RemoteError::Url { url: without_credentials(url), reason };
        let forms = "write `s3://BUCKET/PREFIX?endpoint=URL&region=REGION`, `redis://HOST:PORT` or \
                     `redis-cluster://HOST:PORT,HOST:PORT`";
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(refuse(forms.to_owned()));
        };
        match scheme {
            "s3" => S3Location::parse(rest).map(Self::S3).map_err(refuse),
            _ => match valkey::Scheme::read(scheme) {
                Some(scheme) => {
                    ValkeyLocation::parse(scheme, rest).map(Self::Valkey).map_err(refuse)
                }
                None => Err(refuse(format!("the scheme is not known: {forms}"))),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_key_the_url_without_credentials_and_the_remedy() {
        for (url, reason) in [
            ("/mnt/data", "write `s3://BUCKET"),
            ("https://user:hunter2@host/x", "the scheme is not known"),
            ("redis://:hunter2@host:port", "the port"),
            ("redis://:hunter2@", "name a host"),
            ("redis://:hunter2@host/a//b", "the prefix has segments"),
            ("redis://user:hunter2", "the port"),
            ("redis://user:hunter2%40host", "the port"),
            ("rediss-cluster://a:1,b:hunter2/x", "the port"),
            ("redis://host#hunter2", "no query"),
            ("hunter2@host", "write `s3://BUCKET"),
            ("redis://host?password=hunter2", "no query"),
            ("redis://host:1,host:2", "redis-cluster://"),
            ("redis-cluster://u:hunter2@a:1,b:2/3/x", "no database"),
            ("s3://AKIA:hunter2@bucket/x", "AWS_ACCESS_KEY_ID"),
            ("s3:///x", "name a bucket"),
            ("s3://bucket?secret=hunter2", "`endpoint`, `region`, `virtual_host`"),
            ("s3://bucket?endpoint=http://u:hunter2@host", "AWS_ACCESS_KEY_ID"),
            ("s3://bucket?endpoint=http%3A%2F%2Fu%3Ahunter2%40host", "AWS_ACCESS_KEY_ID"),
            ("s3://bucket?hunter2", "`endpoint`, `region`, `virtual_host`"),
            ("s3://bucket?endpoint=host:9000", "http://"),
            ("s3://bucket?segment_max=31", "from 32 to 255"),
            ("s3://bucket?virtual_host=perhaps", "`true` or `false`"),
        ] {
            let text = Location::parse(url).unwrap_err().to_string();
            assert!(text.contains(reason), "{url}: {text}");
            assert!(text.contains("tier.remote.url=`"), "{url}: {text}");
            assert!(!text.contains("hunter2"), "{url}: {text}");
        }
    }
}
