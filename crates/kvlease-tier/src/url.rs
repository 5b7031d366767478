//! URLs of tiers for people: without what may be a credential.

/// Text in the place of a hidden part.
const HIDDEN: &str = "***";

/// Parameters whose values are shown, unless they have credentials of their own.
const SHOWN: [&str; 4] = ["endpoint", "region", "virtual_host", "segment_max"];

/// Marks of credentials in a value, as they are and percent-encoded: of a user, a query, a fragment.
const MARKS: [&str; 6] = ["@", "%40", "?", "%3f", "#", "%23"];

/// The URL of a tier for logs, errors and `Debug` output. It need not be well-formed: of a mistake the
/// place is shown, and nothing that may be a credential.
///
/// Hidden are: everything up to the last `@` behind the scheme, a port that is no number and what
/// follows it, values of parameters that no tier has, and the fragment. `@` may be percent-encoded.
pub fn without_credentials(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => (Some(scheme), rest),
        _ => (None, url),
    };
    let shown = match after_user(rest) {
        Some(host) => format!("{HIDDEN}@{}", host_and_path(host)),
        None => host_and_path(rest),
    };
    scheme.map_or_else(|| shown.clone(), |scheme| format!("{scheme}://{shown}"))
}

fn is_scheme(text: &str) -> bool {
    let of_scheme = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    !text.is_empty() && text.bytes().all(of_scheme)
}

/// Text behind the last `@`. A password may have any character, slashes and question marks among
/// them.
fn after_user(text: &str) -> Option<&str> {
    let end = |mark: &str| text.rfind(mark).map(|at| at + mark.len());
    end("@").max(end("%40")).map(|end| &text[end..])
}

/// Hosts, path, query and fragment.
fn host_and_path(text: &str) -> String {
    let (text, fragment) = split(text, '#');
    let (text, query) = split(text, '?');
    let (hosts, path) = split(text, '/');
    let mut shown = match bad_port(hosts) {
        // A password without a host: its slashes look like a path.
        Some(at) => return format!("{}:{HIDDEN}", &hosts[..at]),
        None => hosts.to_owned(),
    };
    if let Some(path) = path {
        shown = format!("{shown}/{path}");
    }
    if let Some(query) = query {
        let shown_pairs: Vec<String> = query.split('&').map(parameter).collect();
        shown = format!("{shown}?{}", shown_pairs.join("&"));
    }
    if fragment.is_some() { format!("{shown}#{HIDDEN}") } else { shown }
}

fn split(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at).map_or((text, None), |(before, after)| (before, Some(after)))
}

/// Place of the colon before the first port that is no number.
fn bad_port(hosts: &str) -> Option<usize> {
    let mut start = 0;
    for host in hosts.split(',') {
        // In brackets the colons belong to an address.
        let name = host.rfind(']').unwrap_or(0);
        let colon = host[name..].find(':').map(|at| name + at);
        if let Some(colon) = colon.filter(|at| !host[at + 1..].bytes().all(|b| b.is_ascii_digit()))
        {
            return Some(start + colon);
        }
        start += host.len() + 1;
    }
    None
}

fn parameter(text: &str) -> String {
    let Some((key, value)) = text.split_once('=') else { return HIDDEN.to_owned() };
    let lower = value.to_ascii_lowercase();
    let plain = SHOWN.contains(&key) && !MARKS.iter().any(|mark| lower.contains(mark));
    format!("{key}={}", if plain { value } else { HIDDEN })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_credentials_is_shown_as_it_is() {
        for url in [
            "redis://host",
            "rediss://cache.internal:6379/2/team/kv",
            "redis-cluster://a:1,[::1]:2,[fe80::1]/kv",
            "s3://my.bucket/team/kv/?endpoint=http://[::1]:9000/&region=eu-1&virtual_host=true",
            "s3://bucket?segment_max=100",
            "/mnt/data",
            "",
        ] {
            assert_eq!(without_credentials(url), url);
        }
    }

    #[test]
    fn nothing_that_may_be_a_credential_is_shown() {
        for (url, shown) in [
            ("redis://user:secret@host:1/0", "redis://***@host:1/0"),
            ("rediss-cluster://u:secret@a:1,b:2/x", "rediss-cluster://***@a:1,b:2/x"),
            // Passwords that were not percent-encoded, or too well.
            ("redis://:se@cret@host:1", "redis://***@host:1"),
            ("redis://:sec/ret@host:1", "redis://***@host:1"),
            ("redis://:sec?ret#@host:1", "redis://***@host:1"),
            ("redis://:p%40secret@host", "redis://***@host"),
            ("redis://:secret%40host:1", "redis://***@host:1"),
            // Without a host.
            ("redis://user:secret", "redis://user:***"),
            ("redis://:sec/ret", "redis://:***"),
            ("redis-cluster://a:1,b:secret,c:3/x", "redis-cluster://a:1,b:***"),
            ("redis://[::1]:secret", "redis://[::1]:***"),
            // In a query, or behind it.
            ("redis://host?password=secret", "redis://host?password=***"),
            ("s3://bucket?secret", "s3://bucket?***"),
            ("s3://bucket?region=eu&token=secret#secret", "s3://bucket?region=eu&token=***#***"),
            ("s3://bucket?endpoint=http://key:secret@host", "s3://***@host"),
            ("s3://bucket?endpoint=http%3A%2F%2Fk%3Asecret%40h", "s3://***@h"),
            ("s3://bucket?endpoint=http://h/?secret", "s3://bucket?endpoint=***"),
            ("s3://bucket?endpoint=http://h%3Fsecret", "s3://bucket?endpoint=***"),
            // No URL at all.
            ("user:secret@host", "***@host"),
            ("redis:secret", "redis:***"),
            ("se cret:// x@host", "***@host"),
        ] {
            assert_eq!(without_credentials(url), shown);
            assert!(!without_credentials(url).contains("secret"), "{url}");
        }
    }
}
