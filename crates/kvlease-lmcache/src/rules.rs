//! The three faces: which keys there are, and what they default to.

use std::collections::BTreeMap;

use kvlease_http::{ANSWER_MARGIN_MIN, DEFAULT_BUCKET};

use super::{
    AdapterError, ConnectorContext, Settings, Value, credentials, keys,
    reader::{Form, Reader},
    url::address,
};

/// Divisor of the wait that the daemon is asked to keep to: a time-out is longer than the wait by
/// this part of it, and by at least [`ANSWER_MARGIN_MIN`].
const ANSWER_MARGIN_PART: u64 = 10;

/// Settings from the configuration of LMCache's in-process adapter: the ten `sagemaker_hyperpod_…`
/// keys, and the `kvlease_…` ones of this adapter.
///
/// # Errors
///
/// [`AdapterError`], which names the key and its value; an unknown key is a warning.
pub fn settings(context: &ConnectorContext) -> Result<Settings, AdapterError> {
    extra_config_settings(&context.url, &context.extra_config, &*context.env)
}

/// [`settings`] without a context.
///
/// # Errors
///
/// Those of [`settings`].
pub fn extra_config_settings(
    url: &str,
    extra_config: &BTreeMap<String, Value>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Settings, AdapterError> {
    let reader = Reader { values: extra_config, form: Form::ExtraConfig };
    let mut settings = in_process(url, &reader, env)?;
    settings.warnings.extend(unknown_keys(extra_config));
    Ok(settings)
}

/// Settings from a program's own options: the keys of [`settings`] without their prefixes.
///
/// # Errors
///
/// [`AdapterError`], which names the option and its value, and [`AdapterError::UnknownKey`].
pub fn option_settings(
    url: &str,
    options: &BTreeMap<String, Value>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Settings, AdapterError> {
    refuse_unknown(options, &keys::STOCK_KEYS)?;
    in_process(url, &Reader { values: options, form: Form::Options }, env)
}

/// Settings from the arguments of LMCache's MP client. Numbers have to be numbers, times are
/// milliseconds, nothing is raised to a lower bound, and the wait of a lease is a setting.
///
/// # Errors
///
/// [`AdapterError`], which names the argument and its value, and [`AdapterError::UnknownKey`].
pub fn multi_process_settings(
    url: &str,
    arguments: &BTreeMap<String, Value>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Settings, AdapterError> {
    refuse_unknown(arguments, &keys::MULTI_PROCESS_KEYS)?;
    let reader = Reader { values: arguments, form: Form::Strict };
    let times = Times {
        timeout_ms: milliseconds(&reader, keys::TIMEOUT_MS, keys::DEFAULT_TIMEOUT_MS)?,
        lease_wait_ms: milliseconds(
            &reader,
            keys::LEASE_WAIT_TIMEOUT_MS,
            keys::DEFAULT_LEASE_WAIT_TIMEOUT_MS,
        )?,
        lease_ttl_s: milliseconds(&reader, keys::LEASE_TTL_MS, keys::DEFAULT_LEASE_TTL_MS)? as f64
            / 1000.0,
    };
    common(url.trim(), &reader, times, env)
}

fn in_process(
    url: &str,
    reader: &Reader<'_>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Settings, AdapterError> {
    let timeout_ms = milliseconds(reader, keys::TIMEOUT_MS, keys::DEFAULT_TIMEOUT_MS)?;
    let timeout_ms = timeout_ms.max(keys::TIMEOUT_MS_MIN);
    let margin_ms = (timeout_ms / ANSWER_MARGIN_PART).max(ANSWER_MARGIN_MIN.as_millis() as u64);
    let lease_ttl = reader.stock(keys::LEASE_TTL_S);
    let times = Times {
        timeout_ms,
        lease_wait_ms: timeout_ms - margin_ms,
        lease_ttl_s: lease_ttl.positive(keys::DEFAULT_LEASE_TTL_S, keys::TIME_S_MAX as f64)?,
    };
    let mut settings = common(url, reader, times, env)?;
    settings.put_stream_chunk_bytes =
        settings.put_stream_chunk_bytes.max(keys::PUT_STREAM_CHUNK_BYTES_MIN);
    Ok(settings)
}

/// Times that the two modes of LMCache name and count differently.
struct Times {
    timeout_ms: u64,
    lease_wait_ms: u64,
    lease_ttl_s: f64,
}

fn common(
    url: &str,
    reader: &Reader<'_>,
    times: Times,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Settings, AdapterError> {
    let count = |key, default| reader.stock(key).count(default, u64::MAX);
    let use_https = reader.stock(keys::USE_HTTPS).truth()?;
    let [tls_certificate_file, tls_key_file] = credentials::certificate(reader)?;
    let mut settings = Settings {
        bucket: reader.stock(keys::BUCKET).bucket(DEFAULT_BUCKET)?,
        shared_memory_name: reader
            .stock(keys::SHARED_MEMORY_NAME)
            .segment(keys::DEFAULT_SHARED_MEMORY_NAME)?,
        shared_memory_dir: reader.own(keys::SHARED_MEMORY_DIR).path()?,
        socket: reader.own(keys::SOCKET).socket()?,
        lane_open_max_ms: reader.own(keys::LANE_OPEN_MAX_MS).count_if_any(keys::TIME_MS_MAX)?,
        index: reader.own(keys::INDEX).index()?,
        daemon_uid: reader.own(keys::DAEMON_UID).user()?,
        groups: reader.own(keys::GROUPS).truth()?,
        max_concurrent_requests: count(
            keys::MAX_CONCURRENT_REQUESTS,
            keys::DEFAULT_MAX_CONCURRENT_REQUESTS,
        )?,
        max_connections: count(keys::MAX_CONNECTIONS, keys::DEFAULT_MAX_CONNECTIONS)?,
        max_connections_per_host: count(
            keys::MAX_CONNECTIONS_PER_HOST,
            keys::DEFAULT_MAX_CONNECTIONS_PER_HOST,
        )?,
        timeout_ms: times.timeout_ms,
        lease_wait_ms: times.lease_wait_ms,
        lease_ttl_s: times.lease_ttl_s,
        put_stream_chunk_bytes: count(
            keys::PUT_STREAM_CHUNK_BYTES,
            keys::DEFAULT_PUT_STREAM_CHUNK_BYTES,
        )?,
        max_lease_size_bytes: reader.stock(keys::MAX_LEASE_SIZE_MB).mebibytes()?,
        copy_threads: reader.own(keys::COPY_THREADS).threads(keys::COPY_THREADS_MAX)?,
        tls_ca_file: reader.own(keys::TLS_CA_FILE).path()?,
        tls_certificate_file,
        tls_key_file,
        token: credentials::token(reader)?,
        lease_retention_ms: reader.own(keys::LEASE_RETENTION_MS).count_if_any(keys::TIME_MS_MAX)?,
        warnings: Vec::new(),
        address: address(url, use_https, env)?,
    };
    settings.warnings.extend(settings.connector_config().client.token_risk());
    Ok(settings)
}

fn milliseconds(reader: &Reader<'_>, key: &str, default: u64) -> Result<u64, AdapterError> {
    reader.stock(key).count(default, keys::TIME_MS_MAX)
}

/// A line for each key that begins like one of ours and is none.
fn unknown_keys(extra_config: &BTreeMap<String, Value>) -> Vec<String> {
    let stock = keys::STOCK_KEYS.map(|key| format!("{}{key}", keys::STOCK_PREFIX));
    let own = keys::OWN_KEYS.map(|key| format!("{}{key}", keys::OWN_PREFIX));
    let known: Vec<String> = stock.into_iter().chain(own).collect();
    let ours =
        |key: &&String| key.starts_with(keys::STOCK_PREFIX) || key.starts_with(keys::OWN_PREFIX);
    let unknown = extra_config.keys().filter(ours).filter(|key| !known.contains(key));
    unknown
        .map(|key| {
            let value = shown(key, &extra_config[key]);
            format!(
                "a setting is not known and is ignored: {}, {key}=`{value}`",
                remedy(key, &known)
            )
        })
        .collect()
}

fn refuse_unknown(options: &BTreeMap<String, Value>, stock: &[&str]) -> Result<(), AdapterError> {
    let known: Vec<String> =
        stock.iter().chain(&keys::OWN_KEYS).map(|key| (*key).to_owned()).collect();
    match options.iter().find(|(key, _)| !known.contains(key)) {
        None => Ok(()),
        Some((key, value)) => Err(AdapterError::UnknownKey {
            key: key.clone(),
            value: shown(key, value),
            remedy: remedy(key, &known),
        }),
    }
}

/// The value, unless it may be a token.
fn shown(key: &str, value: &Value) -> String {
    if keys::is_secret(key) { credentials::SECRET.to_owned() } else { value.shown() }
}

fn remedy(key: &str, known: &[String]) -> String {
    match keys::nearest(key, known) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => "leave it out".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_lease_in_process_takes_no_longer_than_the_time_out() {
        for timeout_ms in [1, 99, 100, 101, 499, 500, 501, 5000, keys::TIME_MS_MAX] {
            let values = [("timeout_ms".to_owned(), Value::from(timeout_ms))].into();
            let settings = option_settings("kvlease://127.0.0.1", &values, &|_| None).unwrap();
            let config = settings.connector_config();
            let limit = config.client.timeouts.lease(config.lease_wait);
            assert_eq!(limit, Duration::from_millis(timeout_ms.max(keys::TIMEOUT_MS_MIN)));
            assert!(config.lease_wait < limit);
        }
    }
}
