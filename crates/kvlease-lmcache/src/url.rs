//! From the URL of LMCache's configuration to the daemon's address.

use kvlease_http::Address;

use super::{AdapterError, expand::expand, value::shown};

/// The schemes that choose a connector and say nothing of the transport.
const CONNECTOR_SCHEMES: [&str; 2] = ["sagemaker-hyperpod://", "kvlease://"];

/// The HTTP URL of a daemon: `$NAME` and `${NAME}` are replaced by what `env` knows of them, a
/// leading `sagemaker-hyperpod://` or `kvlease://` is taken off, and unless an `http://` or
/// `https://` stands there, the one that `use_https` says is put in front.
///
/// What follows the scheme is left as it is, and not looked at.
///
/// # Errors
///
/// [`AdapterError::EmptyUrl`] if nothing is left of the URL.
pub fn parse_url(
    url: &str,
    use_https: bool,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<String, AdapterError> {
    let expanded = expand(url, env);
    let place = CONNECTOR_SCHEMES.iter().find_map(|scheme| expanded.strip_prefix(scheme));
    let place = place.unwrap_or(&expanded);
    if place.is_empty() {
        return Err(AdapterError::EmptyUrl { url: shown(url) });
    }
    if place.starts_with("http://") || place.starts_with("https://") {
        return Ok(place.to_owned());
    }
    let scheme = if use_https { "https" } else { "http" };
    Ok(format!("{scheme}://{place}"))
}

/// The address behind a URL of the configuration.
pub(super) fn address(
    url: &str,
    use_https: bool,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Address, AdapterError> {
    Ok(parse_url(url, use_https, env)?.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        let value = match name {
            "HOST_IP" => "10.0.0.7",
            "DAEMON" => "kvlease://node-7:9300",
            "EMPTY" => "",
            _ => return None,
        };
        Some(value.to_owned())
    }

    #[test]
    fn schemes_are_taken_off_and_transports_kept() {
        for (url, use_https, parsed) in [
            ("sagemaker-hyperpod://127.0.0.1:9200", false, "http://127.0.0.1:9200"),
            ("sagemaker-hyperpod://127.0.0.1:9200", true, "https://127.0.0.1:9200"),
            ("kvlease://node-7", false, "http://node-7"),
            ("kvlease://https://node-7", false, "https://node-7"),
            ("sagemaker-hyperpod://http://node-7", true, "http://node-7"),
            ("https://node-7/", false, "https://node-7/"),
            ("node-7:1", true, "https://node-7:1"),
            ("kvlease://${HOST_IP}:9200", false, "http://10.0.0.7:9200"),
            ("$DAEMON", true, "https://node-7:9300"),
            ("kvlease://$UNSET:1", false, "http://$UNSET:1"),
            ("HTTP://node-7", false, "http://HTTP://node-7"),
            ("kvlease://kvlease://node-7", false, "http://kvlease://node-7"),
            (" kvlease://node-7", false, "http:// kvlease://node-7"),
        ] {
            assert_eq!(parse_url(url, use_https, &env).unwrap(), parsed, "{url}");
        }
    }

    #[test]
    fn a_url_without_a_host_is_an_error_that_names_it() {
        for url in ["", "kvlease://", "sagemaker-hyperpod://", "$EMPTY", "kvlease://${EMPTY}"] {
            let error = parse_url(url, false, &env).unwrap_err();
            let text = format!("the url names no host: write `kvlease://host:port`, url=`{url}`");
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn addresses_are_those_of_the_client() {
        let address = |url| address(url, false, &env).map(|address| address.to_string());
        assert_eq!(address("kvlease://$HOST_IP:9300//").unwrap(), "http://10.0.0.7:9300");
        assert_eq!(address("sagemaker-hyperpod://[::1]").unwrap(), "http://[::1]:9200");
        let error = address("kvlease://${NODE}:9200").unwrap_err();
        assert!(error.to_string().contains("variable=`NODE`"), "{error}");
        for url in ["kvlease://http://", "kvlease://host:port", "kvlease://me:secret@host:1"] {
            assert!(matches!(address(url), Err(AdapterError::Address(_))), "{url}");
        }
    }
}
