//! Paths, parsed from their raw form.

use std::str::FromStr;

use kvlease_types::{BucketName, Key, NameError};

use crate::{
    endpoint::{Endpoint, placeholder},
    percent::{DecodeError, decode},
    segments::Segments,
};

/// A request path: the template that it has the shape of, and the names in it.
///
/// Parsed from the raw path: segments are split before they are decoded, and decoded exactly
/// once, so a key may contain `/` as `%2F`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Route {
    template: &'static str,
    names: Names,
}

/// Names in a path, each there if the template has it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Names {
    /// `{bucket}`
    pub bucket: Option<BucketName>,
    /// `{key}`
    pub key: Option<Key>,
    /// `{id}`, decoded and not judged.
    pub id: Option<String>,
    /// `{namespace}`, as the bucket of its checkpoints.
    pub namespace: Option<BucketName>,
    /// `{rank}`
    pub rank: Option<u32>,
    /// `{step}`
    pub step: Option<u64>,
    /// `{asset}`, decoded and not judged.
    pub asset: Option<String>,
}

/// Reason why a path names nothing.
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
    /// A segment is no number, or one that is too large.
    #[error("the {name} must be a whole number of at most {max}")]
    Number {
        /// Which of them.
        name: &'static str,
        /// The largest.
        max: u64,
    },
}

impl Route {
    /// Parses the raw path of a request, without its query.
    pub fn parse(raw_path: &str) -> Result<Self, RouteError> {
        let segments = Segments::of(raw_path).ok_or(RouteError::Unknown)?;
        let endpoint = Endpoint::of_path(&segments).ok_or(RouteError::Unknown)?;
        let mut names = Names::default();
        for (segment, raw) in endpoint.template().iter().zip(segments.as_slice()) {
            match placeholder(segment) {
                None => {}
                Some("bucket") => names.bucket = Some(BucketName::new(decode(raw)?)?),
                Some("key") => names.key = Some(Key::new(decode(raw)?)?),
                Some("id") => names.id = Some(decode(raw)?),
                Some("namespace") => names.namespace = Some(BucketName::retained(&decode(raw)?)?),
                Some("rank") => names.rank = Some(number(raw, "rank", u32::MAX.into())?),
                Some("step") => names.step = Some(number(raw, "step", u64::MAX)?),
                Some("asset") => names.asset = Some(decode(raw)?),
                Some(other) => unreachable!("no template has a {other}"),
            }
        }
        Ok(Self { template: endpoint.path(), names })
    }

    /// The template that the path has the shape of.
    pub fn template(&self) -> &'static str {
        self.template
    }

    /// The names in the path.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// The same path in the bucket that never has an object.
    pub fn hide_bucket(&mut self) {
        let Names { bucket, namespace, .. } = &mut self.names;
        for name in [bucket, namespace].into_iter().flatten() {
            *name = BucketName::empty();
        }
    }

    /// The names in the path, to be kept.
    pub fn into_names(self) -> Names {
        self.names
    }

    /// The endpoint of `method` on this path. A `HEAD` is answered wherever a `GET` is: like that,
    /// without its body.
    pub fn endpoint(&self, method: &str) -> Option<Endpoint> {
        let get = || (method == "HEAD").then(|| Endpoint::of("GET", self.template)).flatten();
        Endpoint::of(method, self.template).or_else(get)
    }

    /// The methods that the path answers, as an `Allow` header lists them.
    pub fn methods(&self) -> String {
        let endpoints = Endpoint::ALL.iter().filter(|endpoint| endpoint.path() == self.template);
        let mut methods: Vec<_> = endpoints.map(|endpoint| endpoint.method()).collect();
        if methods.contains(&"GET") && !methods.contains(&"HEAD") {
            methods.push("HEAD");
        }
        methods.join(", ")
    }
}

/// A number in a path: digits, and nothing else.
fn number<T: FromStr>(raw: &str, name: &'static str, max: u64) -> Result<T, RouteError> {
    let text = decode(raw)?;
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or(RouteError::Number { name, max })
}

impl Names {
    /// The bucket of a template that has a namespace.
    pub fn namespace(&self) -> &BucketName {
        self.namespace.as_ref().expect("the template has a namespace")
    }

    /// Rank and step of a template that has both.
    pub fn shard(&self) -> (u32, u64) {
        let rank = self.rank.expect("the template of a shard has a rank");
        (rank, self.step.expect("the template of a shard has a step"))
    }

    /// The bucket and the key of a template that has both.
    pub fn object(&self) -> (&BucketName, &Key) {
        let key = self.key.as_ref().expect("the template of an object has a key");
        (self.bucket(), key)
    }

    /// As [`Self::object`], to be kept.
    pub fn into_object(self) -> (BucketName, Key) {
        let bucket = self.bucket.expect("the template of an object has a bucket");
        (bucket, self.key.expect("the template of an object has a key"))
    }

    /// The bucket of a template that has one.
    pub fn bucket(&self) -> &BucketName {
        self.bucket.as_ref().expect("the template has a bucket")
    }

    /// The lease id of a template that has one.
    pub fn id(&self) -> &str {
        self.id.as_deref().expect("the template has an id")
    }

    /// The file of a template that has one.
    pub fn asset(&self) -> &str {
        self.asset.as_deref().expect("the template has an asset")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The template that a path has the shape of, with its names in place.
    fn parsed(path: &str) -> String {
        let route = Route::parse(path).unwrap();
        let Names { bucket, key, id, namespace, rank, step, asset } = route.names();
        let [rank, step] = [rank.map(u64::from), *step].map(|number| number.map(|n| n.to_string()));
        let mut text = route.template().to_owned();
        for (name, value) in [
            ("{bucket}", bucket.as_ref().map(BucketName::as_str)),
            ("{key}", key.as_ref().map(Key::as_str)),
            ("{id}", id.as_deref()),
            ("{namespace}", namespace.as_ref().map(BucketName::as_str)),
            ("{rank}", rank.as_deref()),
            ("{step}", step.as_deref()),
            ("{asset}", asset.as_deref()),
        ] {
            assert_eq!(text.contains(name), value.is_some(), "{path}");
            text = text.replace(name, &format!("<{}>", value.unwrap_or_default()));
        }
        text
    }

    #[test]
    fn keys_keep_their_slashes_and_escapes() {
        for (path, expected) in [
            ("/v1/kv/lmcache/org%2Fm@1@-7f@half", "/v1/kv/<lmcache>/<org/m@1@-7f@half>"),
            ("/v1/kv/lmcache/org%2Fm@1/leases", "/v1/kv/<lmcache>/<org/m@1>/leases"),
            ("/v1/kv/b/a%252Fb", "/v1/kv/<b>/<a%2Fb>"),
            ("/v1/kv/b/leases/leases", "/v1/kv/<b>/<leases>/leases"),
            ("/v1/kv/b", "/v1/kv/<b>"),
            ("/healthz", "/healthz"),
            ("/", "/"),
            ("/assets/a%2Fb.js", "/assets/<a/b.js>"),
        ] {
            assert_eq!(parsed(path), expected);
        }
    }

    #[test]
    fn a_lease_id_is_decoded_but_not_judged() {
        assert_eq!(parsed("/v1/leases/a%2Fb/release"), "/v1/leases/<a/b>/release");
        assert_eq!(parsed("/v1/leases/x/renew"), "/v1/leases/<x>/renew");
    }

    #[test]
    fn a_shard_is_named_by_numbers_and_a_namespace_by_its_bucket() {
        let path = "/v1/cp/checkpoints/a%2Fb/4294967295/18446744073709551615";
        let bucket = "<kvlease:checkpoint:a/b>";
        let numbers = "<4294967295>/<18446744073709551615>";
        assert_eq!(parsed(path), format!("/v1/cp/checkpoints/{bucket}/{numbers}"));
        let latest = format!("/v1/cp/checkpoints/{bucket}/latest");
        assert_eq!(parsed("/v1/cp/checkpoints/a%2fb/latest"), latest);
        for path in
            ["a/4294967296/1", "a/-1/1", "a/+1/1", "a/1/18446744073709551616", "a/1/", "a//1"]
        {
            let parsed = Route::parse(&format!("/v1/cp/checkpoints/{path}"));
            assert!(matches!(parsed, Err(RouteError::Number { .. })), "{path}: {parsed:?}");
        }
        let taken = Route::parse("/v1/kv/kvlease%3Acheckpoint:job/k");
        assert_eq!(taken, Err(RouteError::Name(NameError::BucketRetained)));
    }

    #[test]
    fn methods_are_those_of_the_table() {
        let route = Route::parse("/v1/kv/b/k").unwrap();
        assert_eq!(route.methods(), "GET, HEAD, PUT, DELETE");
        assert_eq!(route.endpoint("DELETE"), Some(Endpoint::Remove));
        assert_eq!(route.endpoint("POST"), None);
        let health = Route::parse("/healthz").unwrap();
        assert_eq!(health.methods(), "GET, HEAD");
        assert_eq!(health.endpoint("HEAD"), Some(Endpoint::Health));
        assert_eq!(Route::parse("/v1/leases/x/renew").unwrap().methods(), "POST");
    }

    #[test]
    fn other_paths_name_nothing() {
        for path in [
            "//",
            "",
            "/assets",
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
