//! URLs of S3-compatible stores.

use kvlease_tier::without_credentials;
use url::Url;

use super::parts::{layout, split_path};
use crate::{
    layout::Layout,
    segment::{SEGMENT_LEN_MAX, SEGMENT_LEN_MAX_MIN},
};

/// Where the bucket of an S3-compatible store is.
#[derive(Debug)]
pub(crate) struct S3Location {
    pub(crate) bucket: String,
    /// The store, if it is another than AWS.
    pub(crate) endpoint: Option<String>,
    pub(crate) region: Option<String>,
    /// Whether the bucket is part of the host's name.
    pub(crate) virtual_host: Option<bool>,
    pub(crate) layout: Layout,
    /// The URL, for people.
    pub(crate) shown: String,
}

impl S3Location {
    /// Reads what follows the scheme: `BUCKET[/PREFIX][?endpoint=URL&region=REGION]`.
    pub(super) fn parse(rest: &str) -> Result<Self, String> {
        let (name, query) = rest.split_once('?').unwrap_or((rest, ""));
        if name.contains('@') {
            return Err(credentials());
        }
        let (bucket, prefix) = split_path(name);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if bucket.is_empty() || !bucket.bytes().all(plain) {
            return Err("name a bucket: write `s3://BUCKET/PREFIX`".to_owned());
        }
        let mut location = Self {
            bucket: bucket.to_owned(),
            endpoint: None,
            region: None,
            virtual_host: None,
            layout: layout(prefix)?,
            shown: without_credentials(&format!("s3://{rest}")),
        };
        for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
            location.set(&key, &value)?;
        }
        Ok(location)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "endpoint" => self.endpoint = Some(endpoint(value)?),
            "region" => self.region = Some(value.to_owned()),
            "virtual_host" => {
                let choice = value.parse();
                self.virtual_host =
                    Some(choice.map_err(|_| "virtual_host is `true` or `false`".to_owned())?);
            }
            "segment_max" => {
                let max = value.parse().ok();
                let max = max.filter(|max| (SEGMENT_LEN_MAX_MIN..=SEGMENT_LEN_MAX).contains(max));
                let max = max.ok_or_else(|| {
                    format!(
                        "segment_max is a number from {SEGMENT_LEN_MAX_MIN} to {SEGMENT_LEN_MAX}"
                    )
                })?;
                self.layout = self.layout.clone().with_segments_within(max);
            }
            _ => {
                return Err(
                    "the query has `endpoint`, `region`, `virtual_host` and `segment_max` only"
                        .to_owned(),
                );
            }
        }
        Ok(())
    }
}

fn endpoint(text: &str) -> Result<String, String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let Some(url) = url else {
        return Err("the endpoint is a URL: write `endpoint=http://HOST:PORT`".to_owned());
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(credentials());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn credentials() -> String {
    "the URL has no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, \
     or give the machine a role"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_have_prefixes_endpoints_and_regions() {
        let plain = S3Location::parse("bucket").unwrap();
        assert_eq!(plain.bucket, "bucket");
        assert_eq!((plain.endpoint, plain.region, plain.virtual_host), (None, None, None));
        assert_eq!(plain.layout.object("b", "k"), "kvlease/v1/b/k");

        let text = "my.bucket/team/kv/?endpoint=http://[::1]:9000/&region=eu-1&virtual_host=true";
        let full = S3Location::parse(text).unwrap();
        assert_eq!(full.endpoint.as_deref(), Some("http://[::1]:9000"));
        assert_eq!((full.region.as_deref(), full.virtual_host), (Some("eu-1"), Some(true)));
        assert_eq!(full.layout.object("b", "k"), "team/kv/v1/b/k");
        assert_eq!(full.shown, format!("s3://{text}"));
    }
}
