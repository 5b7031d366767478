//! The keys, their defaults and their limits.

/// Prefix of LMCache's keys in `extra_config`.
pub(super) const STOCK_PREFIX: &str = "sagemaker_hyperpod_";
/// Prefix of the keys in `extra_config` that only this adapter knows.
pub(super) const OWN_PREFIX: &str = "kvlease_";

pub(super) const BUCKET: &str = "bucket";
pub(super) const SHARED_MEMORY_NAME: &str = "shared_memory_name";
pub(super) const MAX_CONCURRENT_REQUESTS: &str = "max_concurrent_requests";
pub(super) const MAX_CONNECTIONS: &str = "max_connections";
pub(super) const MAX_CONNECTIONS_PER_HOST: &str = "max_connections_per_host";
pub(super) const TIMEOUT_MS: &str = "timeout_ms";
pub(super) const LEASE_TTL_S: &str = "lease_ttl_s";
pub(super) const PUT_STREAM_CHUNK_BYTES: &str = "put_stream_chunk_bytes";
pub(super) const USE_HTTPS: &str = "use_https";
pub(super) const MAX_LEASE_SIZE_MB: &str = "max_lease_size_mb";

pub(super) const LEASE_WAIT_TIMEOUT_MS: &str = "lease_wait_timeout_ms";
pub(super) const LEASE_TTL_MS: &str = "lease_ttl_ms";

pub(super) const COPY_THREADS: &str = "copy_threads";
pub(super) const TLS_CA_FILE: &str = "tls_ca_file";
pub(super) const TLS_CERTIFICATE_FILE: &str = "tls_certificate_file";
pub(super) const TLS_KEY_FILE: &str = "tls_key_file";
pub(super) const TOKEN: &str = "token";
pub(super) const TOKEN_FILE: &str = "token_file";
pub(super) const LEASE_RETENTION_MS: &str = "lease_retention_ms";
pub(super) const SHARED_MEMORY_DIR: &str = "shared_memory_dir";
pub(super) const SOCKET: &str = "socket";
pub(super) const LANE_OPEN_MAX_MS: &str = "lane_open_max_ms";
pub(super) const INDEX: &str = "index";
pub(super) const DAEMON_UID: &str = "daemon_uid";
pub(super) const GROUPS: &str = "groups";

/// The ten keys of LMCache's in-process adapter, without their prefix.
pub(super) const STOCK_KEYS: [&str; 10] = [
    BUCKET,
    SHARED_MEMORY_NAME,
    MAX_CONCURRENT_REQUESTS,
    MAX_CONNECTIONS,
    MAX_CONNECTIONS_PER_HOST,
    TIMEOUT_MS,
    LEASE_TTL_S,
    PUT_STREAM_CHUNK_BYTES,
    USE_HTTPS,
    MAX_LEASE_SIZE_MB,
];

/// The keys of LMCache's MP client.
pub(super) const MULTI_PROCESS_KEYS: [&str; 11] = [
    BUCKET,
    SHARED_MEMORY_NAME,
    MAX_CONCURRENT_REQUESTS,
    MAX_CONNECTIONS,
    MAX_CONNECTIONS_PER_HOST,
    TIMEOUT_MS,
    LEASE_WAIT_TIMEOUT_MS,
    LEASE_TTL_MS,
    PUT_STREAM_CHUNK_BYTES,
    USE_HTTPS,
    MAX_LEASE_SIZE_MB,
];

/// The keys that only this adapter knows, without their prefix.
pub(super) const OWN_KEYS: [&str; 13] = [
    COPY_THREADS,
    TLS_CA_FILE,
    TLS_CERTIFICATE_FILE,
    TLS_KEY_FILE,
    TOKEN,
    TOKEN_FILE,
    LEASE_RETENTION_MS,
    SHARED_MEMORY_DIR,
    SOCKET,
    LANE_OPEN_MAX_MS,
    INDEX,
    DAEMON_UID,
    GROUPS,
];

/// The segment that is attached unless the configuration says otherwise.
pub(super) const DEFAULT_SHARED_MEMORY_NAME: &str = "shared_memory";
pub(super) const DEFAULT_MAX_CONCURRENT_REQUESTS: u64 = 100;
pub(super) const DEFAULT_MAX_CONNECTIONS: u64 = 256;
pub(super) const DEFAULT_MAX_CONNECTIONS_PER_HOST: u64 = 128;
pub(super) const DEFAULT_TIMEOUT_MS: u64 = 5000;
pub(super) const DEFAULT_LEASE_TTL_S: f64 = 30.0;
pub(super) const DEFAULT_PUT_STREAM_CHUNK_BYTES: u64 = 65536;
pub(super) const DEFAULT_LEASE_WAIT_TIMEOUT_MS: u64 = 1000;
pub(super) const DEFAULT_LEASE_TTL_MS: u64 = 30_000;

/// The shortest time-out of LMCache's in-process connector: it raises shorter ones to this.
pub(super) const TIMEOUT_MS_MIN: u64 = 100;
/// The shortest piece of LMCache's in-process connector: it raises shorter ones to this.
pub(super) const PUT_STREAM_CHUNK_BYTES_MIN: u64 = 1024;
/// The longest time, which is also the daemon's: a year.
pub(super) const TIME_S_MAX: u64 = 365 * 24 * 60 * 60;
pub(super) const TIME_MS_MAX: u64 = TIME_S_MAX * 1000;
/// More threads than this copy no faster on any machine.
pub(super) const COPY_THREADS_MAX: u64 = 1024;

/// The longest path of a socket that the system takes, in bytes: one less than its buffer holds.
pub(super) const SOCKET_LEN_MAX: usize = 107;

/// Whether the value of a key is a secret, which no error and no warning shows. Mistyped keys count.
pub(super) fn is_secret(key: &str) -> bool {
    let key = key.strip_prefix(OWN_PREFIX).unwrap_or(key);
    let distance = strsim::levenshtein(key, TOKEN);
    distance < strsim::levenshtein(key, TOKEN_FILE) && distance <= TOKEN_TYPING_ERRORS_MAX
}

/// How many letters of [`TOKEN`] may be mistyped.
const TOKEN_TYPING_ERRORS_MAX: usize = 2;

/// How many letters a known key may differ from an unknown one to be what was meant.
const TYPING_ERRORS_MAX: usize = 6;

/// The known key that is most like an unknown one, if any is like it.
pub(super) fn nearest<'a>(unknown: &str, known: &'a [String]) -> Option<&'a str> {
    let (distance, key) = known.iter().map(|key| (strsim::levenshtein(unknown, key), key)).min()?;
    (distance <= TYPING_ERRORS_MAX.min(unknown.len() / 2)).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_a_secret_however_its_key_is_written() {
        for key in ["token", "kvlease_token", "kvlease_tokn", "toekn", "kvlease_tokens"] {
            assert!(is_secret(key), "{key}");
        }
        let others = OWN_KEYS.into_iter().filter(|key| *key != TOKEN);
        for key in others.chain(STOCK_KEYS).chain(["kvlease_token_fil"]) {
            assert!(!is_secret(key), "{key}");
        }
    }

    #[test]
    fn a_mistyped_key_is_told_from_a_strange_one() {
        let known: Vec<String> = STOCK_KEYS.map(|key| format!("{STOCK_PREFIX}{key}")).into();
        let nearest = |unknown| nearest(unknown, &known);
        assert_eq!(nearest("sagemaker_hyperpod_buckt"), Some("sagemaker_hyperpod_bucket"));
        assert_eq!(nearest("sagemaker_hyperpod_lease_ttl"), Some("sagemaker_hyperpod_lease_ttl_s"));
        assert_eq!(nearest("sagemaker_hyperpod_frobnication_level"), None);
        assert_eq!(nearest(""), None);
    }
}
