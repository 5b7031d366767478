//! Paths, parsed from their raw form.

use kvlease_types::{BucketName, Key, NameError};

use crate::percent::{DecodeError, decode};

/// What a request path names.
///
/// Parsed from the raw path: segments are split before they are decoded, and decoded exactly
/// once, so a key may contain `/` as `%2F`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Route {
    /// `/v1/kv/{bucket}`
    Bucket(BucketName),
    /// `/v1/kv/{bucket}/{key}`
    Object(BucketName, Key),
    /// `/v1/kv/{bucket}/{key}/leases`
    Leases(BucketName, Key),
    /// `/v1/kv/{bucket}/{key}/locations`
    Locations(BucketName, Key),
    /// `/v1/leases/{id}/release`, with the id as it was sent
    Release(String),
    /// `/v1/leases/{id}/renew`, with the id as it was sent
    Renew(String),
    /// `/v1/stats`
    Stats,
    /// `/healthz`
    Health,
    /// `/readyz`
    Ready,
    /// `/metrics`
    Metrics,
    /// `/openapi.json`
    OpenApi,
}

/// Why a path names nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RouteError {
    /// No route has this shape.
    #[error("no such path: see /openapi.json, and write `/` inside a key as `%2F`")]
    Unknown,
    /// A segment is not percent-encoded UTF-8.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A bucket or a key is empty or too long.
    #[error(transparent)]
    Name(#[from] NameError),
}

impl Route {
    /// Parses the raw path of a request, without its query.
    pub fn parse(raw_path: &str) -> Result<Self, RouteError> {
        match raw_path {
            "/healthz" => return Ok(Self::Health),
            "/readyz" => return Ok(Self::Ready),
            "/metrics" => return Ok(Self::Metrics),
            "/openapi.json" => return Ok(Self::OpenApi),
            "/v1/stats" => return Ok(Self::Stats),
            _ => {}
        }
        if let Some(rest) = raw_path.strip_prefix("/v1/leases/") {
            let (id, action) = rest.split_once('/').ok_or(RouteError::Unknown)?;
            return match action {
                "release" => Ok(Self::Release(decode(id)?)),
                "renew" => Ok(Self::Renew(decode(id)?)),
                _ => Err(RouteError::Unknown),
            };
        }
        let rest = raw_path.strip_prefix("/v1/kv/").ok_or(RouteError::Unknown)?;
        let mut segments = rest.split('/');
        let bucket = BucketName::new(decode(segments.next().unwrap_or_default())?)?;
        let Some(key) = segments.next() else { return Ok(Self::Bucket(bucket)) };
        let key = Key::new(decode(key)?)?;
        match (segments.next(), segments.next()) {
            (None, _) => Ok(Self::Object(bucket, key)),
            (Some("leases"), None) => Ok(Self::Leases(bucket, key)),
            (Some("locations"), None) => Ok(Self::Locations(bucket, key)),
            _ => Err(RouteError::Unknown),
        }
    }

    /// The methods that the route answers, as an `Allow` header lists them.
    pub fn methods(&self) -> &'static str {
        match self {
            Self::Object(..) => "GET, HEAD, PUT, DELETE",
            Self::Leases(..) | Self::Release(_) | Self::Renew(_) => "POST",
            _ => "GET",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(bucket: &str, key: &str) -> (BucketName, Key) {
        (BucketName::new(bucket).unwrap(), Key::new(key).unwrap())
    }

    #[test]
    fn keys_keep_their_slashes_and_escapes() {
        let (bucket, key) = names("lmcache", "org/model@1@0@-7f@half");
        assert_eq!(
            Route::parse("/v1/kv/lmcache/org%2Fmodel@1@0@-7f@half"),
            Ok(Route::Object(bucket.clone(), key.clone()))
        );
        assert_eq!(
            Route::parse("/v1/kv/lmcache/org%2Fmodel@1@0@-7f@half/leases"),
            Ok(Route::Leases(bucket, key))
        );
        let (bucket, key) = names("b", "a%2Fb");
        assert_eq!(Route::parse("/v1/kv/b/a%252Fb"), Ok(Route::Object(bucket, key)));
        let (bucket, key) = names("b", "leases");
        assert_eq!(Route::parse("/v1/kv/b/leases/leases"), Ok(Route::Leases(bucket, key)));
    }

    #[test]
    fn a_lease_id_is_decoded_but_not_judged() {
        assert_eq!(Route::parse("/v1/leases/a%2Fb/release"), Ok(Route::Release("a/b".into())));
        assert_eq!(Route::parse("/v1/leases/x/renew"), Ok(Route::Renew("x".into())));
    }

    #[test]
    fn other_paths_name_nothing() {
        for path in [
            "/",
            "",
            "/v1",
            "/v1/kv",
            "/v1/leases/x",
            "/v1/leases/x/y",
            "/v1/kv/b/k/other",
            "/v1/kv/b/k/leases/x",
            "*",
        ] {
            assert_eq!(Route::parse(path), Err(RouteError::Unknown), "{path:?}");
        }
        assert_eq!(Route::parse("/v1/kv//k"), Err(RouteError::Name(NameError::BucketEmpty)));
        assert_eq!(Route::parse("/v1/kv/b/"), Err(RouteError::Name(NameError::KeyEmpty)));
        assert_eq!(
            Route::parse("/v1/kv/b/%4"),
            Err(RouteError::Decode(DecodeError::BrokenEscape { at: 0 }))
        );
    }
}
