//! Parts that all URLs have.

use crate::layout::Layout;

/// The authority, and the path without its slashes at either end.
pub(super) fn split_path(rest: &str) -> (&str, &str) {
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    (authority, path.strip_suffix('/').unwrap_or(path))
}

/// Names below a prefix.
pub(super) fn layout(prefix: &str) -> Result<Layout, String> {
    Layout::new(prefix).map_err(|bad| bad.to_string())
}
