//! Path of the status page.

use std::fmt;

use kvlease_api::{Endpoint, Route, RouteError};

/// The longest path, in bytes.
const PATH_LEN_MAX: usize = 100;

/// Path of the status page; none if there is no page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StatusPagePath(Option<String>);

impl StatusPagePath {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self(None)),
            _ if !is_path(text) => Err(format!(
                "write a path of at most {PATH_LEN_MAX} letters, digits, `-`, `_` and `.` between \
                 slashes, such as `/status`, or `none`"
            )),
            _ if text == Endpoint::StatusPage.path() => Ok(Self::default()),
            _ if Route::parse(text) != Err(RouteError::Unknown) => {
                Err("write a path that is no route of the protocol, such as `/status`".into())
            }
            _ => Ok(Self(Some(text.to_owned()))),
        }
    }

    /// The path, if there is a page.
    pub(crate) fn get(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// The path of a request as the table of endpoints has it: that of the page in place of the
    /// configured one.
    pub(crate) fn in_table<'a>(&self, path: &'a str) -> &'a str {
        let page = Endpoint::StatusPage.path();
        match self.get() {
            Some(own) if own == path => page,
            // Names nothing.
            _ if path == page => "",
            _ => path,
        }
    }

    /// The root of the daemon's paths, relative to the page, so that they lead there behind a proxy as well.
    pub(crate) fn root(&self) -> String {
        let depth = self.get().map_or(0, |path| path.matches('/').count().saturating_sub(1));
        if depth == 0 { "./".to_owned() } else { "../".repeat(depth) }
    }
}

impl Default for StatusPagePath {
    fn default() -> Self {
        Self(Some(Endpoint::StatusPage.path().to_owned()))
    }
}

impl fmt::Display for StatusPagePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.get().unwrap_or("none"))
    }
}

/// Whether it is a path that no client writes in another form.
fn is_path(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_segment =
        |segment: &str| segment.bytes().all(is_plain) && segment.bytes().any(|byte| byte != b'.');
    let rest = text.strip_prefix('/').filter(|_| text.len() <= PATH_LEN_MAX);
    rest.is_some_and(|rest| rest.is_empty() || rest.split('/').all(is_segment))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_plain_and_no_route() {
        for text in ["/", "/status", "/ops/kvlease.html", "/v1/status", "/-/", "none"] {
            let parsed = StatusPagePath::parse(text);
            assert_eq!(parsed.is_ok(), text != "/-/", "{text}: {parsed:?}");
            if let Ok(path) = parsed {
                assert_eq!(path.to_string(), text);
            }
        }
        let long = format!("/{}", "s".repeat(PATH_LEN_MAX));
        for text in ["", "status", "//", "/a//b", "/a/../b", "/.", "/a b", "/%41", "/a?b", &long] {
            let remedy = StatusPagePath::parse(text).unwrap_err();
            assert!(remedy.contains("/status"), "{text}: {remedy}");
        }
        for text in ["/healthz", "/metrics", "/v1/stats", "/v1/kv/b", "/v1/kv/b/k", "/assets/x"] {
            let remedy = StatusPagePath::parse(text).unwrap_err();
            assert!(remedy.contains("no route"), "{text}: {remedy}");
        }
    }

    #[test]
    fn only_the_configured_path_is_the_page() {
        let [root, own, none] =
            ["/", "/ops/status", "none"].map(|text| StatusPagePath::parse(text).unwrap());
        assert_eq!([root.in_table("/"), root.in_table("/healthz")], ["/", "/healthz"]);
        assert_eq!(["/", "/ops/status", "/ops"].map(|path| own.in_table(path)), ["", "/", "/ops"]);
        assert_eq!([none.in_table("/"), none.in_table("/healthz")], ["", "/healthz"]);
        assert_eq!([root.root(), own.root()], ["./", "../"]);
        assert_eq!(StatusPagePath::parse("/a/b/c").unwrap().root(), "../../");
    }
}
